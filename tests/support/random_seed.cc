#include "tests/support/random_seed.h"

#include <cstdlib>
#include <random>

#include "absl/strings/numbers.h"

namespace bridge::test {

uint64_t RandomSeed() {
  const char* given = std::getenv("BRIDGE_TEST_SEED");
  uint64_t seed = 0;
  if (given != nullptr && absl::SimpleAtoi(given, &seed)) {
    return seed;
  }
  return std::random_device()();
}

}  // namespace bridge::test
