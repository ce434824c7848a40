#pragma once

#include <cstdint>

namespace bridge::test {

// A port of 127.0.0.1 for a process that is started again and again on it: nobody listens there, and it is below those
// that the kernel gives to outgoing connections, so that none of these has taken it meanwhile. Not the same one twice.
uint16_t SteadyPort();

}  // namespace bridge::test
