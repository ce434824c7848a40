#pragma once

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/string_view.h"
#include "tests/support/bridge_process.h"
#include "tests/support/bystander.h"
#include "tests/support/raw_http.h"

namespace bridge::test {

// A bridge that a test attacks, beside a bystander. What every attack is held to, it is held to without a word in the
// test: when the test's own clients have gone, the bystander has noticed nothing, and the bridge has given back what it
// took. A test says what its attacker gets.
class Attacked : public ::testing::Test {
 protected:
  // `settings` as for BridgeProcess. There is one event loop, which the attackers and the bystander share.
  explicit Attacked(std::vector<std::string> settings = {})
      : bridge_(With(std::move(settings), "http.event_loops=1")), bystander_(&bridge_) {}

  void TearDown() override { bystander_.ExpectUnharmed(); }

  // Sends bytes as they are, and returns all that comes back; the connection has to end, and not by a reset.
  std::string Exchange(absl::string_view bytes) const {
    RawConnection connection(bridge_.http_port());
    connection.Send(bytes);
    const auto answer = connection.ReceiveToEnd();
    EXPECT_TRUE(answer.has_value()) << "the connection stays open";
    EXPECT_FALSE(connection.was_reset());
    return answer.value_or("");
  }

  const BridgeProcess bridge_;
  Bystander bystander_;

 private:
  static std::vector<std::string> With(std::vector<std::string> settings, std::string setting) {
    settings.push_back(std::move(setting));
    return settings;
  }
};

// How often `part` is in `text`.
inline size_t Count(absl::string_view part, absl::string_view text) {
  size_t count = 0;
  for (size_t at = text.find(part); at != absl::string_view::npos; at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

// How many answers there are in what came back from a connection.
inline size_t CountAnswers(absl::string_view bytes) { return Count("X-Content-Type-Options: nosniff\r\n", bytes); }

}  // namespace bridge::test
