/* A library with one kernel; OFFSET tells one from another. */
void plugin_kernel(volatile int *x, volatile int *y);
void plugin_kernel(volatile int *x, volatile int *y) { y[OFFSET] = x[OFFSET]; }
