// Exceptions through and inside the window.
#include <cstring>

extern "C" {
volatile int in[16];
volatile int out[16];
}

#define KEEP __attribute__((noinline, noclone))

namespace net {
struct Failed {};

KEEP void fail() { throw Failed(); }

KEEP void kernel(bool inside)
{
    out[0] = in[0];
    if (inside) {
        try {
            fail();
        } catch (const Failed &) {
            out[1] = in[1];
        }
    } else {
        fail();
    }
    out[2] = in[2];
}
}  // namespace net

int main(int, char **argv)
{
    try {
        net::kernel(std::strcmp(argv[1], "inside") == 0);
    } catch (const net::Failed &) {
        out[3] = in[3];
    }
}
