// Products of Q8_0.
#include "matmul.h"

PRODUCTS(q8_0, Q8_0, VecI16, TileI16)
