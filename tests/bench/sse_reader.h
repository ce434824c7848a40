#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bridge::bench {

// Reads one HTTP/1.1 response that is an event stream, in pieces of any size: the head, the chunk framing where the
// head announces one, and the events in it. Not thread-safe.
//
// It copies nothing while events arrive whole, and keeps a few bytes where one is cut. Of an event with several data
// lines only the last is given: the benchmark's own have one.
class SseReader {
 public:
  enum class State { kHead, kRefused, kOpen, kEnded };

  // Calls on_event(id, data) for each event that is complete now; both are valid during the call only.
  template <typename OnEvent>
  void Feed(std::string_view bytes, OnEvent&& on_event);

  State state() const { return state_; }
  // The response's status code; 0 while the head is incomplete.
  int status() const { return status_; }

 private:
  enum class Framing : uint8_t { kNone, kSize, kSizeEnd, kData, kDataEnd };

  // Takes what belongs to the head from the front of `bytes`.
  void FeedHead(std::string_view& bytes);
  // Takes chunk framing from the front of `bytes` and returns the part of the body behind it, which may be empty.
  std::string_view NextPart(std::string_view& bytes);
  void TakeFramingByte(char byte);

  template <typename OnEvent>
  void FeedBody(std::string_view part, OnEvent& on_event);
  // Returns how many bytes the complete events at the front took.
  template <typename OnEvent>
  static size_t TakeEvents(std::string_view text, OnEvent& on_event);

  std::string carry_;  // the head, then an event, as far as it has come
  size_t chunk_left_ = 0;
  int status_ = 0;
  State state_ = State::kHead;
  Framing framing_ = Framing::kNone;
};

template <typename OnEvent>
void SseReader::Feed(std::string_view bytes, OnEvent&& on_event) {
  if (state_ == State::kHead) FeedHead(bytes);
  while (!bytes.empty() && state_ == State::kOpen) {
    const std::string_view part = NextPart(bytes);
    if (!part.empty()) FeedBody(part, on_event);
  }
}

template <typename OnEvent>
void SseReader::FeedBody(std::string_view part, OnEvent& on_event) {
  if (carry_.empty()) {
    carry_ = part.substr(TakeEvents(part, on_event));
    return;
  }
  carry_ += part;
  carry_.erase(0, TakeEvents(carry_, on_event));
}

template <typename OnEvent>
size_t SseReader::TakeEvents(std::string_view text, OnEvent& on_event) {
  size_t taken = 0;
  std::string_view id;
  std::string_view data;
  for (size_t start = 0;;) {
    const size_t end = text.find('\n', start);
    if (end == std::string_view::npos) return taken;
    const std::string_view line = text.substr(start, end - start - (end > start && text[end - 1] == '\r' ? 1 : 0));
    start = end + 1;
    if (line.empty()) {
      if (!data.empty()) on_event(id, data);
      id = data = {};
      taken = start;
    } else if (line.starts_with("data: ")) {
      data = line.substr(6);
    } else if (line.starts_with("id: ")) {
      id = line.substr(4);
    }
  }
}

}  // namespace bridge::bench
