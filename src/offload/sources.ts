// The sources that native kernels must be built from to be those of this package: written by `npm run build kernels`.
export const NATIVE_SOURCES = 0x0860465e;
