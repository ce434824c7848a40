#include "bridge/auth/json_object.h"

#include <cstddef>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bridge::auth {
namespace {

namespace json = boost::json;

constexpr char kError[] = "is no JSON object, or one with a member twice, or one that nests too deep";

// Empty where `text` is taken.
std::string ErrorOf(absl::string_view text) {
  const absl::Status status = ParseJsonObject(text).status();
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument) << status;
  return std::string(status.message());
}

TEST(JsonObjectTest, HasWhatTheTextHas) {
  const absl::StatusOr<json::object> object = ParseJsonObject(
      " {\"text\": \"a\\n\\u00e4\\ud83d\\ude00\\u0000\xC3\xA4\", \"int\": -1, \"uint\": 18446744073709551615, "
      "\"double\": 0.5,"
      " \"list\": [true, false, null, []], \"object\": {\"\": {}}}\r\n\t");
  ASSERT_TRUE(object.ok()) << object.status();
  const json::object expected = {{"text", json::string_view("a\n\xC3\xA4\xF0\x9F\x98\x80\0\xC3\xA4", 11)},
                                 {"int", -1},
                                 {"uint", uint64_t{18446744073709551615U}},
                                 {"double", 0.5},
                                 {"list", json::array({true, false, nullptr, json::array()})},
                                 {"object", json::object({{"", json::object()}})}};
  EXPECT_EQ(*object, expected);
}

TEST(JsonObjectTest, TheTextIsAnObjectAndNothingElse) {
  EXPECT_EQ(ErrorOf("{}"), "");
  const std::string nul("{}\0", 3);
  for (const absl::string_view text :
       {absl::string_view(), absl::string_view(""), absl::string_view(" "), absl::string_view("[]"),
        absl::string_view("[{}]"), absl::string_view("1"), absl::string_view("null"), absl::string_view("\"a\""),
        absl::string_view("{"), absl::string_view("}"), absl::string_view("{}}"), absl::string_view("{} {}"),
        absl::string_view("{},"), absl::string_view(nul), absl::string_view("\xEF\xBB\xBF{}")}) {
    EXPECT_EQ(ErrorOf(text), kError) << text;
  }
}

TEST(JsonObjectTest, TheTextIsStrictJson) {
  for (const char* const text : {"{\"a\": 1,}",
                                 "{\"a\": [1,]}",
                                 "{,}",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{\"a\" 1}",
                                 R"({"a": 1 "b": 2})",
                                 "{a: 1}",
                                 "{'a': 1}",
                                 "{\"a\": 'b'}",
                                 "{1: 1}",
                                 "// a\n{}",
                                 "{/* a */}",
                                 "{} // a",
                                 "{\"a\": 01}",
                                 "{\"a\": +1}",
                                 "{\"a\": .5}",
                                 "{\"a\": 1.}",
                                 "{\"a\": 1e}",
                                 "{\"a\": 0x1}",
                                 "{\"a\": NaN}",
                                 "{\"a\": Infinity}",
                                 "{\"a\": -Infinity}",
                                 "{\"a\": True}",
                                 "{\"a\": tru}",
                                 "{\"a\": undefined}",
                                 "{\"a\": \"\n\"}",
                                 R"({"a": "\x41"})",
                                 R"({"a": "\u12"})",
                                 R"({"a": "b})",
                                 R"({"a": "\"})"}) {
    EXPECT_EQ(ErrorOf(text), kError) << text;
  }
}

TEST(JsonObjectTest, TextsAreUtf8) {
  for (const char* const text : {"\xFF", "\x80", "\xC3", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                 "\\ud800", "\\udc00", "\\ud800\\ud800", "\\ud800a"}) {
    EXPECT_EQ(ErrorOf(absl::StrCat("{\"a\": \"", text, "\"}")), kError) << text;
    EXPECT_EQ(ErrorOf(absl::StrCat("{\"", text, "\": 1}")), kError) << text;
  }
}

TEST(JsonObjectTest, AMemberStandsOnceOnEveryLevel) {
  for (const char* const text :
       {R"({"a": 1, "a": 1})", R"({"a": 1, "b": 2, "a": 3})", R"({"": 1, "": 2})", R"({"a": 1, "\u0061": 2})",
        R"({"a": {"b": 1, "b": 2}})", R"({"a": [1, [{"b": 1, "c": 2, "b": 3}]]})",
        R"({"a": {"b": 1}, "a": {"c": 2, "d": 3}})", R"({"a": {"b": 1, "c": 2}, "a": null})",
        R"({"a": [], "b": {"c": {"d": 1, "d": []}}})"}) {
    EXPECT_EQ(ErrorOf(text), kError) << text;
  }
  EXPECT_EQ(ErrorOf(R"({"a": {"a": [{"a": 1}, {"a": 2}]}, "A": 1, "aa": 1, "": 1})"), "");
}

TEST(JsonObjectTest, AMemberStandsOnceAmongMany) {
  const auto with = [](absl::string_view last) {
    std::vector<std::string> members;
    for (int i = 0; i < 1000; ++i) {
      members.push_back(absl::StrCat("\"", i, "\": 1"));
    }
    return absl::StrCat("{", absl::StrJoin(members, ","), ",\"", last, "\": 1}");
  };
  EXPECT_EQ(ErrorOf(with("1000")), "");
  for (const char* const last : {"0", "7", "999"}) {
    EXPECT_EQ(ErrorOf(with(last)), kError) << last;
  }
}

TEST(JsonObjectTest, NestsSixteenLevels) {
  const auto nested = [](size_t levels, absl::string_view open, absl::string_view close) {
    std::string text = "{\"a\":";
    for (size_t i = 1; i < levels; ++i) {
      absl::StrAppend(&text, open);
    }
    absl::StrAppend(&text, "1");
    for (size_t i = 1; i < levels; ++i) {
      absl::StrAppend(&text, close);
    }
    return text + "}";
  };
  for (const auto& [open, close] : {std::pair("[", "]"), std::pair("{\"a\":", "}")}) {
    EXPECT_EQ(ErrorOf(nested(kJsonLevelsMax, open, close)), "");
    EXPECT_EQ(ErrorOf(nested(kJsonLevelsMax + 1, open, close)), kError);
    EXPECT_EQ(ErrorOf(nested(100'000, open, close)), kError);
    EXPECT_EQ(ErrorOf(nested(100'000, open, "")), kError);
  }
  EXPECT_EQ(ErrorOf(absl::StrCat(R"({"a": ")", std::string(1000, '['), R"(\"[[[", "b": 1})")), "")
      << "brackets in a text";
}

TEST(FindTest, AMemberByItsNameOrByAPath) {
  const json::object object =
      *ParseJsonObject(R"({"a.b": 1, "a": {"b": 2, "c": {"d": 3}}, "e": [{"f": 4}], "": {"": 5}})");
  const auto path = [&](absl::string_view at) {
    const json::value* const value = FindPath(object, at);
    return value == nullptr ? 0 : value->to_number<int>();
  };
  EXPECT_EQ(path("a.b"), 1);
  EXPECT_EQ(path("a.c.d"), 3);
  EXPECT_EQ(path("."), 5);
  for (const char* const none : {"b", "a.d", "a.c.d.e", "e.f", "e.0.f", "a.", ".a", "a..b", "A.c.d"}) {
    EXPECT_EQ(path(none), 0) << none;
  }
  EXPECT_EQ(FindMember(object, "a.c"), nullptr);
  EXPECT_NE(FindMember(object, "a.b"), nullptr);
}

TEST(FindTest, ATextIsNoOtherValue) {
  const json::object object =
      *ParseJsonObject(R"({"a": "b", "empty": "", "long": "0123456789012345678901234567890", "c": 1, "d": null})");
  EXPECT_EQ(FindText(object, "a"), "b");
  EXPECT_EQ(FindText(object, "empty"), "");
  EXPECT_EQ(FindText(object, "long"), "0123456789012345678901234567890");
  EXPECT_EQ(FindText(object, "c"), std::nullopt);
  EXPECT_EQ(FindText(object, "d"), std::nullopt);
  EXPECT_EQ(FindText(object, "e"), std::nullopt);
}

}  // namespace
}  // namespace bridge::auth
