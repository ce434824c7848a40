#include "tests/support/reference_page.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bridge::test {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  EXPECT_TRUE(file.good()) << path;
  return content.str();
}

}  // namespace

google::protobuf::FileDescriptorSet DescriptorsNamedBy(const char* variable) {
  google::protobuf::FileDescriptorSet descriptors;
  EXPECT_TRUE(descriptors.ParseFromString(Read(getenv(variable))));
  return descriptors;
}

void ExpectPageIs(const std::string& name, const std::string& content, const std::string& script) {
  const std::string path = absl::StrCat(getenv("BRIDGE_SOURCE_DIR"), "/docs/", name);
  if (getenv("BRIDGE_WRITE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << content;
  }
  EXPECT_EQ(Read(path), content) << "run " << script;
}

}  // namespace bridge::test
