#include "bridge/config/yaml_reader.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bridge::config {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<YamlNode> Read(absl::string_view text) { return ReadYaml({.text = text, .name = "test.yaml"}); }

std::string ErrorOf(absl::string_view text) { return std::string(Read(text).status().message()); }

TEST(YamlReaderTest, KeepsOrderLinesAndDoubleKeys) {
  const absl::StatusOr<YamlNode> root = Read("# comment\nb: 1\na:\n  - x\n  - 'y z'\nb: ~\n");
  ASSERT_TRUE(root.ok()) << root.status();
  ASSERT_EQ(root->kind, YamlNode::Kind::kMap);
  ASSERT_EQ(root->children.size(), 3U);
  EXPECT_EQ(root->children[0].key, "b");
  EXPECT_EQ(root->children[0].scalar, "1");
  EXPECT_EQ(root->children[0].line, 2);
  EXPECT_EQ(root->children[1].kind, YamlNode::Kind::kList);
  ASSERT_EQ(root->children[1].children.size(), 2U);
  EXPECT_EQ(root->children[1].children[1].scalar, "y z");
  EXPECT_EQ(root->children[1].children[1].line, 5);
  EXPECT_EQ(root->children[2].key, "b");
  EXPECT_EQ(root->children[2].kind, YamlNode::Kind::kNull);
  EXPECT_EQ(root->children[2].line, 6);
}

TEST(YamlReaderTest, AnEmptyDocumentIsANull) {
  for (const char* text : {"", "\n", "# only a comment\n", "---\n", "---\n...\n"}) {
    ASSERT_TRUE(Read(text).ok()) << text << Read(text).status();
    EXPECT_EQ(Read(text)->kind, YamlNode::Kind::kNull) << text;
  }
}

TEST(YamlReaderTest, NamesTheLineOfWhatIsNoYaml) {
  EXPECT_THAT(ErrorOf("a: 1\nb: [1, 2\n"), StartsWith("test.yaml:"));
  EXPECT_THAT(ErrorOf("a: 1\nb: c: d\n"), StartsWith("test.yaml:2: "));
  EXPECT_THAT(ErrorOf("a: 1\n\tb: 2\n"), StartsWith("test.yaml:"));
  EXPECT_THAT(ErrorOf("a: \"open"), StartsWith("test.yaml:1: "));
}

TEST(YamlReaderTest, AnOverrideHasNoLine) {
  EXPECT_THAT(std::string(ReadYaml({.text = "[", .name = "--set a=[", .has_lines = false}).status().message()),
              StartsWith("--set a=[: "));
}

TEST(YamlReaderTest, RefusesASecondDocument) {
  EXPECT_THAT(ErrorOf("a: 1\n---\nb: 2\n"), HasSubstr("second document"));
  EXPECT_THAT(ErrorOf("a: 1\n---\n"), HasSubstr("second document"));
}

TEST(YamlReaderTest, RefusesAliasesAndTags) {
  EXPECT_THAT(ErrorOf("a: &x 1\nb: *x\n"), HasSubstr("test.yaml:2: aliases"));
  EXPECT_THAT(ErrorOf("a: !!str 1\n"), HasSubstr("tags"));
  EXPECT_THAT(ErrorOf("a: !custom {}\n"), HasSubstr("tags"));
  EXPECT_THAT(ErrorOf("a: *nowhere\n"), StartsWith("test.yaml:1: "));
}

TEST(YamlReaderTest, RefusesKeysThatAreNoText) {
  EXPECT_THAT(ErrorOf("[a]: 1\n"), HasSubstr("a key has to be a name"));
  EXPECT_THAT(ErrorOf("{a: 1}: 1\n"), HasSubstr("a key has to be a name"));
  EXPECT_THAT(ErrorOf("~: 1\n"), HasSubstr("a key has to be a name"));
}

TEST(YamlReaderTest, DepthIsBounded) {
  EXPECT_TRUE(Read(absl::StrCat(std::string(16, '['), std::string(16, ']'))).ok());
  EXPECT_THAT(ErrorOf(absl::StrCat(std::string(17, '['), std::string(17, ']'))), HasSubstr("more than 16 levels"));
  EXPECT_FALSE(Read(std::string(100000, '[')).ok());
  EXPECT_FALSE(Read(std::string(100000, '{')).ok());
  std::string nested;
  for (size_t i = 0; i < 1000; ++i) {
    absl::StrAppend(&nested, std::string(i, ' '), "a:\n");
  }
  EXPECT_THAT(ErrorOf(nested), HasSubstr("more than 16 levels"));
}

TEST(YamlReaderTest, RefusesOtherEncodings) {
  EXPECT_EQ(ErrorOf("a: \xFF"), "test.yaml: is not UTF-8");
  EXPECT_EQ(ErrorOf(absl::string_view("\xFF\xFE"
                                      "a\0:\0",
                                      6)),
            "test.yaml: is not UTF-8");
}

}  // namespace
}  // namespace bridge::config
