#include "bridge/sse/encoder.h"

#include <random>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/sse_parser.h"

#include "bridge/sse/frame.h"

namespace bridge::sse {
namespace {

TEST(Encoder, WritesOnlyTheFieldsThatAreSet) {
  EXPECT_EQ(EncodeEvent({.id = "e-1", .type = "update", .data = "x", .retry_ms = 1500}),
            "event: update\nretry: 1500\ndata: x\nid: e-1\n\n");
  EXPECT_EQ(EncodeEvent({.data = "x"}), "data: x\n\n");
  EXPECT_EQ(EncodeEvent({.type = "message", .data = "x"}), "data: x\n\n");
  EXPECT_EQ(EncodeEvent({.data = ""}), "data: \n\n");
}

TEST(Encoder, GivesEveryLineItsOwnDataField) {
  EXPECT_EQ(EncodeEvent({.data = "a\nb\rc\r\nd\n\ne\r"}),
            "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\ndata: \n\n");
}

TEST(Encoder, KeepsALeadingSpace) { EXPECT_EQ(EncodeEvent({.data = " a"}), "data:  a\n\n"); }

TEST(Encoder, SizeIsExact) {
  for (const uint64_t retry : {0U, 1U, 9U, 10U, 3'600'000U}) {
    for (const absl::string_view data : {"", "\n", "\r\n", "abc", "a\r\n\r\nb", "\r\r\n\n"}) {
      const Event event{.id = "18e9ff06f65e7927-42", .type = "t", .data = data, .retry_ms = retry};
      EXPECT_EQ(EncodedSize(event), EncodeEvent(event).size());
    }
  }
}

TEST(Encoder, WrapsAChunk) {
  EXPECT_EQ(WrapChunk("0123456789abcdef"), "10\r\n0123456789abcdef\r\n");
  EXPECT_EQ(WrapChunk(":\n\n"), "3\r\n:\n\n\r\n");
}

// What a client makes of a text: line ends become line feeds.
std::string Normalised(const std::string& text) {
  std::string normalised;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      normalised += '\n';
      i += i + 1 < text.size() && text[i + 1] == '\n' ? 1 : 0;
    } else {
      normalised += text[i];
    }
  }
  return normalised;
}

TEST(Encoder, AnotherParserReadsBackWhatWasEncoded) {
  std::mt19937 random(20261121);
  const std::string alphabet = "\r\n: ax";
  for (int round = 0; round < 2000; ++round) {
    std::string data = "x";
    for (size_t i = random() % 20; i > 0; --i) {
      data += alphabet[random() % alphabet.size()];
    }
    test::SseParser parser;
    parser.Feed(EncodeEvent({.id = "1-2", .type = "t", .data = data}));
    const auto events = parser.TakeEvents();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0], (test::SseEvent{.id = "1-2", .type = "t", .data = Normalised(data)}));
  }
}

TEST(Frame, IsTheEventAsAChunkAndWithoutIt) {
  const FramePtr frame = Frame::Make({.sequence = 7, .received = {}, .event = {.id = "1-7", .type = "t", .data = "x"}});
  EXPECT_EQ(frame->text(), "event: t\ndata: x\nid: 1-7\n\n");
  EXPECT_EQ(frame->chunk(), WrapChunk(frame->text()));
  EXPECT_EQ(frame->type(), "t");
  EXPECT_EQ(frame->sequence(), 7U);
  EXPECT_FALSE(frame->is_ephemeral());
}

TEST(Frame, LargestFitsAndTypeDefaultsToMessage) {
  const std::string data(600'000, '\n');
  const FramePtr frame = Frame::Make({.sequence = 0, .received = {}, .event = {.data = data}});
  EXPECT_EQ(frame->text().size(), 600'001 * 7U + 1);
  EXPECT_EQ(frame->type(), "message");
  EXPECT_TRUE(frame->is_ephemeral());
}

}  // namespace
}  // namespace bridge::sse
