// A chunked body gives the same outcome in any two pieces as in one, and never more than its bound.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"

#include "bridge/http/chunked_decoder.h"

namespace {

constexpr size_t kBodyMax = 200;

struct Outcome {
  int refused = 0;
  bool is_done = false;
  std::string body;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome Decode(absl::string_view first, absl::string_view second) {
  bridge::http::ChunkedDecoder decoder(kBodyMax);
  Outcome outcome;
  std::string buffer;
  for (const absl::string_view piece : {first, second}) {
    buffer.append(piece.data(), piece.size());
    absl::string_view input = buffer;
    if (const auto refusal = decoder.Decode(&input, &outcome.body)) {
      return {.refused = refusal->status, .is_done = false, .body = ""};
    }
    buffer.erase(0, buffer.size() - input.size());
  }
  outcome.is_done = decoder.is_done();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t cut = data[0] % size;
  const Outcome whole = Decode(bytes, "");
  if (whole.body.size() > kBodyMax || !(whole == Decode(bytes.substr(0, cut), bytes.substr(cut)))) {
    std::abort();
  }
  return 0;
}
