#include "bridge/payload/type_registry.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/support/files.h"
#include "tests/support/temp_dir.h"

namespace bridge::payload {
namespace {

using google::protobuf::FileDescriptorSet;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Made by protoc of tests/support/shop.proto and legacy.proto, and of money.proto with them.
std::string ShopSet() { return getenv("BRIDGE_SHOP_DESCRIPTORS"); }

class TypeRegistryTest : public ::testing::Test {
 protected:
  TypeRegistryTest() { EXPECT_TRUE(shop_.ParseFromString(test::ReadFile(ShopSet()))); }

  std::string PathOf(const std::string& name) const { return absl::StrCat(directory_.path(), "/", name); }
  std::string Written(const std::string& name, const std::string& bytes) const {
    test::ReplaceFile(PathOf(name), bytes);
    return PathOf(name);
  }

  static std::string ErrorOf(const std::vector<std::string>& files) {
    const absl::Status status = TypeRegistry::Create(files).status();
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  }

  google::protobuf::FileDescriptorProto& ShopFile(const std::string& name) {
    for (google::protobuf::FileDescriptorProto& file : *shop_.mutable_file()) {
      if (file.name() == name) {
        return file;
      }
    }
    ADD_FAILURE() << name;
    return *shop_.add_file();
  }

  const test::TempDir directory_;
  FileDescriptorSet shop_;
};

TEST_F(TypeRegistryTest, DescriptorSetsMayShareFilesThatAgree) {
  const std::string again = Written("again.pb", shop_.SerializeAsString());
  EXPECT_TRUE(TypeRegistry::Create({ShopSet(), again, ShopSet()}).ok());
}

TEST_F(TypeRegistryTest, DescriptorSetsMayBeInAnyOrder) {
  std::reverse(shop_.mutable_file()->pointer_begin(), shop_.mutable_file()->pointer_end());
  EXPECT_TRUE(TypeRegistry::Create({Written("reversed.pb", shop_.SerializeAsString())}).ok());
}

TEST_F(TypeRegistryTest, DescriptorSetsMayNotDisagree) {
  ShopFile("money.proto").mutable_message_type(0)->mutable_field(0)->set_number(77);
  const std::string other = Written("other.pb", shop_.SerializeAsString());
  EXPECT_EQ(ErrorOf({ShopSet(), other}), absl::StrCat("payload.descriptor_sets: ", other, " and ", ShopSet(),
                                                      " have different versions of money.proto"));
}

TEST_F(TypeRegistryTest, DescriptorSetsNeedTheirImports) {
  FileDescriptorSet alone;
  *alone.add_file() = ShopFile("shop.proto");
  const std::string path = Written("alone.pb", alone.SerializeAsString());
  EXPECT_EQ(
      ErrorOf({path}),
      absl::StrCat(
          "payload.descriptor_sets: ", path,
          ": shop.proto imports money.proto, which no descriptor set has; make it with protoc --include_imports"));
}

TEST_F(TypeRegistryTest, DescriptorSetsMayNotImportInACircle) {
  ShopFile("money.proto").add_dependency("shop.proto");
  EXPECT_THAT(ErrorOf({Written("circle.pb", shop_.SerializeAsString())}), HasSubstr("imports itself"));
}

TEST_F(TypeRegistryTest, DescriptorSetsSayWhatIsWrongInThem) {
  ShopFile("money.proto").mutable_message_type(0)->mutable_field(1)->set_number(1);
  EXPECT_THAT(ErrorOf({Written("bad.pb", shop_.SerializeAsString())}),
              AllOf(HasSubstr("bad.pb: money.proto: "), HasSubstr("Field number 1")));
}

TEST_F(TypeRegistryTest, DescriptorSetsCannotReplaceTheWellKnownTypes) {
  google::protobuf::FileDescriptorProto& file = ShopFile("google/protobuf/struct.proto");
  file.mutable_message_type(0)->mutable_field(0)->set_name("other");
  EXPECT_TRUE(TypeRegistry::Create({Written("struct.pb", shop_.SerializeAsString())}).ok());
}

TEST_F(TypeRegistryTest, DescriptorSetsHaveToBeReadable) {
  const std::string missing = PathOf("missing.pb");
  EXPECT_TRUE(absl::IsNotFound(TypeRegistry::Create({missing}).status()));
  EXPECT_THAT(ErrorOf({missing}),
              AllOf(HasSubstr(absl::StrCat("payload.descriptor_sets: ", missing)), HasSubstr("cannot be read")));
  EXPECT_THAT(ErrorOf({directory_.path()}), HasSubstr("cannot be read"));
  for (const std::string& bytes : {std::string(), std::string("syntax = \"proto3\";"), std::string("\xFF\xFF")}) {
    EXPECT_THAT(ErrorOf({Written("none.pb", bytes)}), HasSubstr("none.pb is no descriptor set; make it with protoc"));
  }
  EXPECT_THAT(ErrorOf({"/dev/zero"}), HasSubstr("is no descriptor set"));
}

}  // namespace
}  // namespace bridge::payload
