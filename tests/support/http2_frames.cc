#include "tests/support/http2_frames.h"

#include "absl/strings/str_cat.h"

namespace bridge::test {
namespace {

std::string BigEndian(uint32_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) {
    text.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
  return text;
}

// A string with its size before it; sizes of 127 and more go on in groups of seven bits (RFC 7541 §5.1).
std::string Sized(absl::string_view text) {
  constexpr size_t kPrefixMax = 127;
  std::string out;
  if (text.size() < kPrefixMax) {
    out.push_back(static_cast<char>(text.size()));
  } else {
    out.push_back(static_cast<char>(kPrefixMax));
    size_t rest = text.size() - kPrefixMax;
    while (rest >= 128) {
      out.push_back(static_cast<char>(rest % 128 + 128));
      rest /= 128;
    }
    out.push_back(static_cast<char>(rest));
  }
  return absl::StrCat(out, text);
}

}  // namespace

std::string Http2Preface() {
  return absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Http2Frame(FrameType::kSettings, 0, 0, ""));
}

std::string Http2Frame(FrameType type, uint8_t flags, uint32_t stream, absl::string_view payload) {
  std::string frame = BigEndian(static_cast<uint32_t>(payload.size()), 3);
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  return absl::StrCat(frame, BigEndian(stream, 4), payload);
}

std::string HeaderBlock(const Http2Headers& headers) {
  std::string block;
  for (const auto& [name, value] : headers) {
    absl::StrAppend(&block, absl::string_view("\0", 1), Sized(name), Sized(value));
  }
  return block;
}

Http2Headers CallTo(absl::string_view path) {
  return {{":method", "POST"},         {":scheme", "http"}, {":path", std::string(path)},
          {":authority", "localhost"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
}

std::string CallHeaders(uint32_t stream, absl::string_view method, const Http2Headers& more) {
  Http2Headers headers = CallTo(absl::StrCat("/bridge.v1.Publisher/", method));
  headers.insert(headers.end(), more.begin(), more.end());
  return Http2Frame(FrameType::kHeaders, kEndHeaders, stream, HeaderBlock(headers));
}

std::string GrpcMessage(absl::string_view bytes, uint32_t announced) {
  return absl::StrCat(absl::string_view("\0", 1), BigEndian(announced, 4), bytes);
}

}  // namespace bridge::test
