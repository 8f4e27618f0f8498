// Products of the 5-bit formats.
#include "matmul.h"

PRODUCTS(q5_0, Q5_0, Vec, Tile)
PRODUCTS(q5_1, Q5_1, Vec, Tile)
PRODUCTS(q5_k, Q5_K, Vec, Tile)
