#include "bridge/config/validate_calls.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/config/config.h"

namespace bridge::config {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What is wrong with it; empty where nothing is.
std::string ErrorOf(const std::string& text) { return std::string(LoadText(text, "test.yaml", {}).status().message()); }

TEST(ValidateCallsTest, TakesTheDefaults) { EXPECT_THAT(ErrorOf(""), IsEmpty()); }

TEST(ValidateCallsTest, HandsNoSecretsToWorkers) {
  for (const std::string header : {"Authorization", "cookie", "Proxy-Authorization"}) {
    EXPECT_THAT(ErrorOf("calls: {metadata: [" + header + "]}"), HasSubstr("secret"));
  }
  EXPECT_THAT(ErrorOf("calls: {metadata: ['X Y']}"), HasSubstr("name of a header"));
  EXPECT_THAT(ErrorOf("calls: {metadata: [X-Request-Id, traceparent]}"), IsEmpty());
}

TEST(ValidateCallsTest, WantsRoomForTheLargestBody) {
  EXPECT_THAT(ErrorOf("calls: {max_body_bytes: 2MiB, max_bytes_in_flight: 1MiB}"),
              HasSubstr("calls.max_bytes_in_flight"));
  EXPECT_THAT(ErrorOf("calls: {max_body_bytes: 2MiB, log: {max_bytes: 1MiB}}"), HasSubstr("calls.log.max_bytes"));
}

TEST(ValidateCallsTest, TakesNamesByTheGrammarOfTopics) {
  EXPECT_THAT(ErrorOf("calls: {names: [chat, reports.*]}"), IsEmpty());
  EXPECT_THAT(ErrorOf("calls: {names: ['a b']}"), HasSubstr("calls.names"));
}

}  // namespace
}  // namespace bridge::config
