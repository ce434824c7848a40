#include "bridge/http/chunked_decoder.h"

#include <gtest/gtest.h>

namespace bridge::http {
namespace {

constexpr absl::string_view kBody =
    "4\r\nWiki\r\n6;ext=1\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\n";

TEST(ChunkedDecoder, DecodesABodyInAnyPieces) {
  for (size_t piece = 1; piece <= kBody.size(); ++piece) {
    ChunkedDecoder decoder(1000);
    std::string body;
    std::string buffer;
    for (size_t at = 0; at < kBody.size(); at += piece) {
      buffer += std::string(kBody.substr(at, piece));
      absl::string_view input = buffer;
      ASSERT_FALSE(decoder.Decode(&input, &body));
      buffer.erase(0, buffer.size() - input.size());
    }
    EXPECT_TRUE(decoder.is_done());
    EXPECT_EQ(body, "Wikipedia in \r\n\r\nchunks.");
    EXPECT_EQ(buffer, "");
  }
}

TEST(ChunkedDecoder, LeavesWhatComesBehindTheBody) {
  ChunkedDecoder decoder(1000);
  std::string body;
  absl::string_view input = "0\r\n\r\nGET /";
  EXPECT_FALSE(decoder.Decode(&input, &body));
  EXPECT_TRUE(decoder.is_done());
  EXPECT_EQ(input, "GET /");
}

TEST(ChunkedDecoder, RefusesWhatIsNotExactlyChunked) {
  for (const absl::string_view bad : {"\r\n", "g\r\n", "-1\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", "123456789\r\n", "1\n",
                                      "1\r\nab", "1\r\nab\r\n", "1;\x01\r\n"}) {
    ChunkedDecoder decoder(1000);
    std::string body;
    absl::string_view input = bad;
    auto refusal = decoder.Decode(&input, &body);
    if (!refusal) {  // a line that is not over yet: more of it does not make it right
      const std::string more = std::string(input) + "\r\n";
      input = more;
      refusal = decoder.Decode(&input, &body);
    }
    EXPECT_TRUE(refusal) << bad;
  }
}

TEST(ChunkedDecoder, BoundsTheBodyTheLinesAndTheTrailers) {
  const auto refusal_of = [](const std::string& text) {
    ChunkedDecoder decoder(10);
    std::string body;
    absl::string_view input = text;
    const auto refusal = decoder.Decode(&input, &body);
    return refusal ? refusal->status : 0;
  };
  EXPECT_EQ(refusal_of("b\r\n"), 413);
  EXPECT_EQ(refusal_of("5\r\nabcde\r\n6\r\n"), 413);
  EXPECT_EQ(refusal_of("5\r\nabcde\r\n5\r\nabcde\r\n0\r\n\r\n"), 0);
  EXPECT_EQ(refusal_of("1;" + std::string(300, 'x')), 400);
  std::string trailers = "0\r\n";
  for (int i = 0; i < 100; ++i) {
    trailers += "X: " + std::string(100, 'x') + "\r\n";
  }
  EXPECT_EQ(refusal_of(trailers), 400);
}

}  // namespace
}  // namespace bridge::http
