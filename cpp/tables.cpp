// See tables.h. The build links this file first.
#include "tables.h"

extern constexpr Tables tables = {};
