#include "bridge/base/ref_counted_string.h"

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace bridge::base {
namespace {

TEST(RefCountedString, IsItsText) {
  for (const std::string& text :
       {std::string(), std::string("a"), std::string("nul\0byte", 8), std::string(70'000, 'x')}) {
    const RefCountedString made(text);
    EXPECT_EQ(made.view(), text);
    EXPECT_EQ(made, RefCountedString(text));
    EXPECT_GE(made.footprint_bytes(), text.size());
  }
  EXPECT_EQ(RefCountedString(), RefCountedString(""));
  EXPECT_EQ(RefCountedString().footprint_bytes(), 0U);
  EXPECT_LT(RefCountedString("a"), RefCountedString("ab"));
  EXPECT_LT(RefCountedString("ab"), RefCountedString("b"));
  EXPECT_NE(RefCountedString("a"), RefCountedString("b"));
}

TEST(RefCountedString, IsHeldByItsCopiesAsLongAsThereIsOne) {
  RefCountedString first("a text of some length");
  const char* const bytes = first.view().data();
  RefCountedString second = first;
  RefCountedString third;
  third = second;
  first = RefCountedString("another");
  second = std::move(first);
  EXPECT_EQ(third.view(), "a text of some length");
  EXPECT_EQ(third.view().data(), bytes);
  EXPECT_EQ(second.view(), "another");
}

TEST(RefCountedString, IsFoundByItsText) {
  absl::flat_hash_set<RefCountedString, RefCountedString::Hash, RefCountedString::Eq> set;
  set.insert(RefCountedString("a"));
  EXPECT_TRUE(set.contains(absl::string_view("a")));
  EXPECT_TRUE(set.contains(RefCountedString("a")));
  EXPECT_FALSE(set.contains(absl::string_view("b")));
}

TEST(RefCountedString, MayBeCopiedAndDroppedOnAnyThreads) {
  RefCountedString text("shared");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([text] {
      for (int round = 0; round < 10'000; ++round) {
        RefCountedString copy;
        copy = text;
        ASSERT_EQ(copy.view().front(), 's');
      }
    });
  }
  text = RefCountedString();
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace bridge::base
