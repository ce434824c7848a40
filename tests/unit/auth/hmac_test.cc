#include "bridge/auth/hmac.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"

namespace bridge::auth {
namespace {

std::string HexOf(Algorithm algorithm, absl::string_view secret, absl::string_view text) {
  return absl::BytesToHexString(Hmac(algorithm, secret).Of(text));
}

// RFC 4231 §4.3 and §4.7: not of our making.
TEST(HmacTest, TheExamplesOfTheRfc) {
  constexpr char kText[] = "what do ya want for nothing?";
  EXPECT_EQ(HexOf(Algorithm::kHs256, "Jefe", kText),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(HexOf(Algorithm::kHs384, "Jefe", kText),
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649");
  EXPECT_EQ(HexOf(Algorithm::kHs512, "Jefe", kText),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd"
            "caeab1a34d4a6b4b636e070a38bce737");
  EXPECT_EQ(
      HexOf(Algorithm::kHs256, std::string(131, '\xAA'), "Test Using Larger Than Block-Size Key - Hash Key First"),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(HmacTest, NoTextChangesTheNext) {
  const Hmac hmac(Algorithm::kHs256, "secret");
  const std::string of_a = hmac.Of("a");
  EXPECT_NE(hmac.Of("b"), of_a);
  EXPECT_NE(hmac.Of(""), of_a);
  EXPECT_EQ(hmac.Of("a"), of_a);
  const Hmac copy = hmac;  // NOLINT(performance-unnecessary-copy-initialization): a copy is what is tested
  EXPECT_EQ(copy.Of("a"), of_a);
}

TEST(HmacTest, ManyThreadsHaveOne) {
  const Hmac hmac(Algorithm::kHs512, "secret");
  const std::string expected = hmac.Of("text");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 1000; ++j) {
        wrong += hmac.Of("text") == expected ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace bridge::auth
