// Products of the formats with a scale for each 16 values: 2, 3 and 6 bits.
#include "matmul.h"

PRODUCTS(q2_k, Q2_K, Vec, Tile)
PRODUCTS(q3_k, Q3_K, Vec, Tile)
PRODUCTS(q6_k, Q6_K, Vec, Tile)
