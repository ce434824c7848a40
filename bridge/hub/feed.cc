#include "bridge/hub/feed.h"

#include <utility>

#include "bridge/hub/store_reader.h"

namespace bridge::hub {

FrameBatch::~FrameBatch() { feed->NoteTaken(list.footprint_bytes()); }

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

void Feed::OnGap(uint64_t head, Missing /*why*/) {
  for (FrameSink* sink : sinks_) {
    sink->PostGap(head);
  }
}

log::Follower::Flow Feed::OnEntries(absl::Span<const log::Entry> entries) {
  auto batch = std::make_shared<FrameBatch>(this);
  batch->list.Reserve(entries.size());
  for (const log::Entry& entry : entries) {
    batch->list.Append(MakeFrame(epoch_, entry), entry.record.topic);
  }
  budget_.Add(batch->list.footprint_bytes());
  for (FrameSink* sink : sinks_) {
    sink->PostFrames(batch);
  }
  batch.reset();
  return budget_.Judge();
}

void Feed::NoteTaken(size_t bytes) {
  if (budget_.Take(bytes)) {
    const absl::MutexLock lock(&mutex_);
    if (resume_ != nullptr) {
      resume_();
    }
  }
}

}  // namespace bridge::hub
