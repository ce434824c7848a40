#include "tests/bench/sse_reader.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bridge::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using Events = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kPlain =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    ": hi\n\nid: 7\ndata: one\n\nid: 8\r\nevent: x\r\ndata: two\r\n\r\n";
constexpr std::string_view kChunked =
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    "6\r\n: hi\n\n\r\n11\r\nid: 7\ndata: one\n\n\r\nd\r\nid: 8\ndata: t\r\nC;x=y\r\nwo\n\nid: 9\n\n\r\n\r\n0\r\n\r\n";

class SseReaderTest : public ::testing::Test {
 protected:
  // The events of `text` when it comes in pieces of `piece` bytes.
  Events Read(std::string_view text, size_t piece) {
    Events events;
    for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
      reader_.Feed(text.substr(0, piece),
                   [&](std::string_view id, std::string_view data) { events.emplace_back(id, data); });
    }
    return events;
  }

  SseReader reader_;
};

class SseReaderPieces : public SseReaderTest, public ::testing::WithParamInterface<size_t> {};

TEST_P(SseReaderPieces, ReadsAPlainBody) {
  EXPECT_THAT(Read(kPlain, GetParam()), ElementsAre(Pair("7", "one"), Pair("8", "two")));
  EXPECT_EQ(reader_.state(), SseReader::State::kOpen);
  EXPECT_EQ(reader_.status(), 200);
}

TEST_P(SseReaderPieces, ReadsChunksThatCutEvents) {
  EXPECT_THAT(Read(kChunked, GetParam()), ElementsAre(Pair("7", "one"), Pair("8", "two")));
  EXPECT_EQ(reader_.state(), SseReader::State::kEnded);
}

INSTANTIATE_TEST_SUITE_P(Sizes, SseReaderPieces, ::testing::Range<size_t>(1, 140));

TEST_F(SseReaderTest, TellsARefusal) {
  Read("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 1000);
  EXPECT_EQ(reader_.state(), SseReader::State::kRefused);
  EXPECT_EQ(reader_.status(), 503);
}

}  // namespace
}  // namespace bridge::bench
