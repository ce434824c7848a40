#include "bridge/web/web.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::web {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

std::filesystem::path Folder() { return std::filesystem::path(std::getenv("BRIDGE_SOURCE_DIR")) / "bridge/web"; }

std::set<std::string> Paths() {
  std::set<std::string> paths;
  for (const Asset& asset : Assets()) paths.emplace(asset.path);
  return paths;
}

std::string_view BodyOf(std::string_view path) {
  for (const Asset& asset : Assets()) {
    if (asset.path == path) return asset.body;
  }
  ADD_FAILURE() << "no asset " << path;
  return "";
}

// The first group of each match.
std::vector<std::string> FindAll(std::string_view text, const std::string& pattern) {
  const std::regex regex(pattern);
  const std::string haystack(text);
  std::vector<std::string> found;
  for (auto match = std::sregex_iterator(haystack.begin(), haystack.end(), regex); match != std::sregex_iterator();
       ++match) {
    found.push_back(match->str(1));
  }
  return found;
}

TEST(AssetsTest, HaveEachAPathATypeABodyAndAnETag) {
  EXPECT_THAT(Paths(), SizeIs(Assets().size()));
  for (const Asset& asset : Assets()) {
    SCOPED_TRACE(asset.path);
    EXPECT_THAT(std::string(asset.path), MatchesRegex("/|/console/[a-z_]+\\.(css|js|svg)"));
    EXPECT_THAT(std::string(asset.etag), MatchesRegex("\"[0-9a-f]{16}\""));
    EXPECT_THAT(asset.content_type, Not(IsEmpty()));
    EXPECT_THAT(asset.body, Not(IsEmpty()));
  }
}

TEST(AssetsTest, AreTheFilesByteForByte) {
  for (const Asset& asset : Assets()) {
    SCOPED_TRACE(asset.path);
    const std::string_view name =
        asset.path == "/" ? "index.html" : asset.path.substr(std::string_view("/console/").size());
    std::ifstream file(Folder() / name, std::ios::binary);
    ASSERT_TRUE(file.is_open());
    EXPECT_EQ(asset.body, std::string(std::istreambuf_iterator<char>(file), {}));
  }
}

TEST(AssetsTest, AreAllThatThePageAndItsModulesLoad) {
  for (const std::string& reference : FindAll(BodyOf("/"), R"re((?:src|href)="([^"#]+)")re")) {
    EXPECT_THAT(Paths(), Contains("/" + reference));
  }
  for (const Asset& asset : Assets()) {
    SCOPED_TRACE(asset.path);
    for (const std::string& module : FindAll(asset.body, R"re(from '\./([^']+)')re")) {
      EXPECT_THAT(Paths(), Contains("/console/" + module));
    }
  }
}

// What "default-src 'self'" would block without a word to the visitor.
TEST(AssetsTest, HaveNothingInline) {
  const std::string_view page = BodyOf("/");
  EXPECT_THAT(FindAll(page, R"re((<script(?![^>]*\ssrc=)[^>]*>))re"), IsEmpty());
  EXPECT_THAT(FindAll(page, R"re((<style|\sstyle=|\son[a-z]+=))re"), IsEmpty());
  for (const Asset& asset : Assets()) {
    SCOPED_TRACE(asset.path);
    EXPECT_THAT(asset.body, Not(HasSubstr("data:image")));
  }
}

// A payload is a stranger's: it must never be read as HTML.
TEST(AssetsTest, WriteNoHtml) {
  for (const Asset& asset : Assets()) {
    if (!asset.path.ends_with(".js")) continue;
    SCOPED_TRACE(asset.path);
    EXPECT_THAT(FindAll(asset.body, R"re((innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\())re"),
                IsEmpty());
  }
}

}  // namespace
}  // namespace bridge::web
