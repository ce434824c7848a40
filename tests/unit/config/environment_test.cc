#include "bridge/config/environment.h"

#include <cstdlib>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::config {
namespace {

using ::testing::HasSubstr;

class EnvironmentTest : public ::testing::Test {
 protected:
  EnvironmentTest() {
    setenv("BRIDGE_TEST_HOST", "10.0.0.1", 1);
    setenv("BRIDGE_TEST_EMPTY", "", 1);
    setenv("BRIDGE_TEST_NESTED", "${BRIDGE_TEST_HOST}", 1);
    setenv("BRIDGE_TEST_LONG", std::string(1000, 'x').c_str(), 1);
    unsetenv("BRIDGE_TEST_UNSET");
  }
};

TEST_F(EnvironmentTest, PutsValuesIn) {
  EXPECT_EQ(*ExpandEnvironment("${BRIDGE_TEST_HOST}:80"), "10.0.0.1:80");
  EXPECT_EQ(*ExpandEnvironment("a${BRIDGE_TEST_EMPTY}b${BRIDGE_TEST_HOST}"), "ab10.0.0.1");
  EXPECT_EQ(*ExpandEnvironment("nothing"), "nothing");
}

TEST_F(EnvironmentTest, DoesNotExpandWhatAVariableHolds) {
  EXPECT_EQ(*ExpandEnvironment("${BRIDGE_TEST_NESTED}"), "${BRIDGE_TEST_HOST}");
}

TEST_F(EnvironmentTest, TwoDollarsEscape) {
  EXPECT_EQ(*ExpandEnvironment("$${BRIDGE_TEST_UNSET}"), "${BRIDGE_TEST_UNSET}");
  EXPECT_EQ(*ExpandEnvironment("$5 $$ $HOME }"), "$5 $$ $HOME }");
}

TEST_F(EnvironmentTest, NamesTheVariableThatIsNotSet) {
  EXPECT_EQ(ExpandEnvironment("${BRIDGE_TEST_UNSET}").status().message(),
            "needs the environment variable BRIDGE_TEST_UNSET, which is not set");
}

TEST_F(EnvironmentTest, RefusesWhatIsNoName) {
  for (const char* text : {"${", "${}", "${A", "${A B}", "${1A}", "${A:-default}", "${A\n}"}) {
    EXPECT_THAT(std::string(ExpandEnvironment(text).status().message()), HasSubstr("write ${NAME}")) << text;
  }
}

TEST_F(EnvironmentTest, IsBounded) {
  std::string text;
  for (int i = 0; i < 10000; ++i) {
    text += "${BRIDGE_TEST_LONG}";
  }
  EXPECT_THAT(std::string(ExpandEnvironment(text).status().message()), HasSubstr("at most 64KiB"));
}

}  // namespace
}  // namespace bridge::config
