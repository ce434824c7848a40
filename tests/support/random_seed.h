#pragma once

#include <cstdint>

namespace bridge::test {

// The seed of a test that uses chance: the number in the environment variable BRIDGE_TEST_SEED, else a fresh one. A
// test says it when it fails:
//
//   const uint64_t seed = RandomSeed();
//   SCOPED_TRACE(absl::StrCat("BRIDGE_TEST_SEED=", seed));
uint64_t RandomSeed();

}  // namespace bridge::test
