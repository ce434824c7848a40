#include "bridge/calls/reader.h"

#include "bridge/calls/calls.h"

namespace bridge::calls {

Reader::~Reader() {
  if (calls_ != nullptr) {
    calls_->NoteReaderGone(generation_, std::move(call_id_));
  }
}

void Calls::NoteReaderGone(uint32_t generation, base::RefCountedString call_id) {
  Post([generation, id = std::move(call_id)](Calls& calls) {
    calls.loop_->AssertOnLoop();
    Slot* const slot = calls.Find(id);
    if (slot == nullptr || generation != calls.generation_) {
      return;
    }
    --slot->readers;
    calls.NoteReaders(*slot);
    const bool may_stop = !slot->state.is_ended() && !calls.IsLeavingCalls();
    if (may_stop && StopsAtOnce(*slot) && !calls.IsRead(*slot)) {
      calls.StopCall(*slot, StopReason::kAbandoned, "nobody reads the answer");
    }
  });
}

}  // namespace bridge::calls
