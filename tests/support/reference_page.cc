#include "tests/support/reference_page.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bridge::test {
namespace {

std::string Read(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  EXPECT_TRUE(file.good()) << path;
  return content.str();
}

std::string Environment(const char* variable) {
  const char* const value = getenv(variable);
  EXPECT_NE(value, nullptr) << variable << " is not set";
  return value == nullptr ? "" : value;
}

}  // namespace

google::protobuf::FileDescriptorSet DescriptorsNamedBy(const char* variable) {
  google::protobuf::FileDescriptorSet descriptors;
  EXPECT_TRUE(descriptors.ParseFromString(Read(Environment(variable))));
  return descriptors;
}

void ExpectPageIs(const std::string& name, const std::string& content, const std::string& script) {
  const std::string path = absl::StrCat(Environment("BRIDGE_SOURCE_DIR"), "/docs/", name);
  if (getenv("BRIDGE_WRITE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << content;
  }
  EXPECT_EQ(Read(path), content) << "run " << script;
}

}  // namespace bridge::test
