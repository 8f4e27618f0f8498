// Products of the 4-bit formats.
#include "matmul.h"

PRODUCTS(q4_0, Q4_0, Vec, Tile)
PRODUCTS(q4_1, Q4_1, Vec, Tile)
PRODUCTS(q4_k, Q4_K, Vec, Tile)
