// The module's only data; see tables.h.
#include "tables.h"

extern constexpr Tables tables = {};
