#include "bridge/hub/feed.h"

#include <utility>

#include "bridge/hub/store_reader.h"

namespace bridge::hub {

FrameBatch::~FrameBatch() { feed->NoteTaken(bytes); }

void Feed::Start(absl::AnyInvocable<void()> resume, std::vector<FrameSink*> sinks) {
  sinks_ = std::move(sinks);
  const absl::MutexLock lock(&mutex_);
  resume_ = std::move(resume);
}

void Feed::Detach() {
  const absl::MutexLock lock(&mutex_);
  resume_ = nullptr;
}

void Feed::OnEpoch(uint64_t epoch, uint64_t head) {
  epoch_ = epoch;
  for (FrameSink* sink : sinks_) {
    sink->PostEpoch(epoch, head);
  }
}

void Feed::OnCaughtUp() {
  for (FrameSink* sink : sinks_) {
    sink->PostCaughtUp();
  }
}

log::Follower::Flow Feed::OnEntries(absl::Span<const log::Entry> entries) {
  auto batch = std::make_shared<FrameBatch>(this);
  batch->frames.reserve(entries.size());
  for (const log::Entry& entry : entries) {
    auto frame = MakeFrame(epoch_, entry);
    batch->bytes += frame->footprint_bytes();
    batch->frames.push_back(std::move(frame));
  }
  const size_t pending = pending_bytes_.fetch_add(batch->bytes) + batch->bytes;
  for (FrameSink* sink : sinks_) {
    sink->PostFrames(batch);
  }
  batch.reset();
  if (pending <= kBytesMax) {
    return Flow::kContinue;
  }
  is_stalled_.store(true);
  if (pending_bytes_.load() <= kBytesMax / 2 && is_stalled_.exchange(false)) {
    return Flow::kContinue;  // they were taken in the meantime
  }
  return Flow::kStall;
}

void Feed::NoteTaken(size_t bytes) {
  const size_t pending = pending_bytes_.fetch_sub(bytes) - bytes;
  if (pending <= kBytesMax / 2 && is_stalled_.exchange(false)) {
    const absl::MutexLock lock(&mutex_);
    if (resume_ != nullptr) {
      resume_();
    }
  }
}

}  // namespace bridge::hub
