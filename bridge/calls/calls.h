#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "bridge/base/clock.h"
#include "bridge/calls/call.h"
#include "bridge/calls/call_record.h"
#include "bridge/calls/call_types.h"
#include "bridge/calls/calls_metrics.h"
#include "bridge/calls/calls_options.h"
#include "bridge/calls/follow_waits.h"
#include "bridge/calls/reader.h"
#include "bridge/calls/rejections.h"
#include "bridge/calls/replicas.h"
#include "bridge/calls/slot.h"
#include "bridge/calls/worker.h"
#include "bridge/calls/worker_stream.h"
#include "bridge/log/event_log.h"
#include "bridge/log/follow_budget.h"
#include "bridge/log/position.h"
#include "bridge/loop/callback_timer.h"
#include "bridge/loop/event_loop.h"

namespace bridge::calls {

// All calls that a replica knows: it follows their log, gives them to its workers, keeps their time, and hands their
// answers on to who serves them to browsers.
//
// Thread-safe in what is public. Everything else lives on its EventLoop. A call is what its records say (Call): what
// this class wants to be so it appends, and what it does it does when the log has handed that back.
class Calls final : public log::Follower {
 public:
  using Options = CallsOptions;

  // `answers` is handed the events of answers, in log order, as entries whose topic is the call's id; the last of a
  // call has the type log::kCallEndType. `loop`, on which it lives, and `answers` outlive it.
  Calls(loop::EventLoop* loop, log::EventLog* log, log::Follower* answers, Options options);
  // On the loop. REQUIRES: the log has been destroyed, or does not call any more.
  ~Calls() override;
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  // --- For browsers. `done` is called once, on the loop of Calls.

  using Reader = calls::Reader;

  // A call as a browser may see it.
  struct View {
    std::string id;
    // Of its first record. Its events stand behind it.
    log::Position opened;
    // Of the newest event of the answer; 0 where there is none yet.
    uint64_t newest = 0;
    // The JSON of bridge.end, where the call has ended; its sequence is then `newest`.
    std::optional<std::string> end;
    // The call was there already (Idempotency-Key).
    bool is_joined = false;
    // Where a reader was asked for.
    Reader reader;
  };

  using Refusal = calls::Refusal;
  using Outcome = std::variant<View, Refusal>;
  using Done = absl::AnyInvocable<void(Outcome)>;

  // Opens a call, or joins the one that its idempotency key stands for. Done when the log has it. Its View has a reader
  // unless the request is_async.
  void Open(CallRequest request, Done done);

  enum class Access { kLook, kRead };
  // The call, for who owns it; with a reader for kRead.
  void Find(std::string call_id, Owner owner, Access access, Done done);

  // Has the worker stop. Done when the log has that; the View has the end where the call had ended.
  void Cancel(std::string call_id, Owner owner, Done done);

  // --- For publishers.

  // A publisher's stream that may become a worker. `publisher` is its identity's name. What is on its way when it is
  // removed may still be told to it.
  using WorkerHandle = std::shared_ptr<Worker>;
  WorkerHandle AddWorker(std::shared_ptr<WorkerStream> stream, std::string publisher);
  // Becomes a worker, or another one than before. `taken` is called when Calls has gone through it.
  void SetServe(WorkerHandle worker, Serve serve, absl::AnyInvocable<void()> taken);
  // What a request has of updates. `taken` is called when all of it has been followed and the worker knows what has
  // become of it; with false where something was not taken and the worker cannot know: the log failed, or a newer
  // stream of it has come.
  void Update(WorkerHandle worker, std::vector<CallUpdate> updates, absl::AnyInvocable<void(bool is_taken)> taken);
  // It is told to go on elsewhere, with the calls that it has: from now on it is given none.
  void NoteLeaving(WorkerHandle worker);
  // How a worker's stream ends: it half-closes (and hands back what it holds), or breaks (and may come back).
  enum class Leave { kHandsBack, kBroken };
  void RemoveWorker(WorkerHandle worker, Leave leave);

  // --- For the server.

  // New calls are refused. Where the log dies with the process, calls that have not ended by then end kLost after
  // `window`. `done` is called on the loop when none is left, or when nothing more is to be waited for.
  void Drain(absl::Duration window, absl::AnyInvocable<void()> done);

  // The log is about to be destroyed: from now on nothing is appended. On the loop.
  void Detach() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // `answers` has said kStall and goes on.
  void ResumeAnswers();

  const CallsMetrics& metrics() const { return metrics_; }
  loop::EventLoop& loop() const ABSL_LOCK_RETURNED(loop_) { return *loop_; }

  // log::Follower, on the log's thread.
  void OnEpoch(uint64_t epoch, uint64_t head) override;
  void OnCaughtUp() override;
  void OnGap(uint64_t head, Missing why) override;
  Flow OnEntries(absl::Span<const log::Entry> entries) override;

 private:
  using Slot = calls::Slot;
  friend struct calls::Slot;
  friend class calls::Reader;

  // A POST whose call is not in the log yet.
  struct Opening {
    Done done;
    bool is_async = false;
    std::string address;
    std::string subject;
    uint64_t bytes = 0;
  };

  // A call that is wanted, and what is done with it.
  struct Lookup {
    std::string call_id;
    Owner owner;
    Done done;
    absl::AnyInvocable<void(Calls&, Slot&, Done)> then;
  };

  // Is given the position of the last record, or why what was appended may not be in the log.
  using AppendTask = absl::AnyInvocable<void(Calls&, const absl::StatusOr<log::Position>&)>;

  // Records of several updates, and their calls.
  struct Batch {
    std::vector<log::Record> records;
    std::vector<std::string> call_ids;
    bool is_taken = true;
  };

  // Something that came from the log, in its order.
  using Arrival = absl::AnyInvocable<void(Calls&)>;
  using Entries = std::vector<log::Entry>;
  using Counts = absl::flat_hash_map<std::string, size_t>;
  static void Uncount(Counts& counts, const std::string& key);

  // --- Between threads.
  void Post(absl::AnyInvocable<void(Calls&)> task);
  void Append(std::vector<log::Record> records, AppendTask done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteReaderGone(uint32_t generation, base::RefCountedString call_id);
  void PostLookup(Lookup lookup);
  void PostArrival(Arrival arrival);

  // --- Opening (calls.cc).
  std::optional<Refusal> CheckMayOpen(const CallRequest& request) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void OpenNow(CallRequest request, Done done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void CloseOpening(const Opening& opening) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void FailOpening(const std::string& id, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  Outcome Join(Slot& slot, absl::string_view body_fingerprint, bool is_async) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  Outcome ViewOf(Slot& slot, Access access) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  Slot* FindOwn(absl::string_view call_id, const Owner& owner) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void FindNow(Lookup lookup) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // For `follow_waits_`.
  void AskForBounds() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void CancelSlot(Slot& slot, Done done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Following (calls_records.cc, calls_epoch.cc).
  void TakeArrivals() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void TakeEntries(Entries entries, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void TakeEntry(log::Entry& entry, Entries* answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteKept(Slot& slot, uint64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void TakeOpen(log::Entry& entry, log::v1::CallOpen open) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteClaim(Slot& slot, const log::v1::CallClaim& claim, bool is_valid, bool was_claimed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // The slot's worker has it by a claim of this replica, for its stream of that number.
  void NoteOwnClaim(Slot& slot, uint64_t stream, bool was_claimed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteReleased(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteAnswer(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteStopped(Slot& slot, StopReason reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteEnded(Slot& slot, const log::v1::CallEnd& end, const log::Entry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void BeginEpoch(uint64_t epoch, uint64_t head) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void CatchUp() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Unclaim(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Enqueue(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Dequeue(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteUnacked(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void AckFollowed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  log::Position followed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) {
    return {.epoch = epoch_, .sequence = followed_};
  }
  void Hear(const std::string& replica) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NotePresence(const log::v1::ReplicaPresence& presence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // A call that is opened at that time, by its record, may have the key of one that has ended: as every replica says.
  bool IsKeyFreeAt(const Slot& slot, absl::Time time) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void ForgetKey(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Forget(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  Slot* Find(absl::string_view call_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Workers (calls_workers.cc).
  void ServeNow(const WorkerHandle& worker, Serve serve) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Once this replica knows all claims that the worker can know.
  void AwaitTakeOver(const WorkerHandle& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void TakeOver(const WorkerHandle& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void UpdateNow(const WorkerHandle& worker, std::vector<CallUpdate> updates, absl::AnyInvocable<void(bool)> taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void TakeUpdate(const WorkerHandle& worker, CallUpdate update, Batch* batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteNotAppended(const Worker& worker, const std::vector<std::string>& call_ids, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Why an answer may not have so many bytes more; OK where it may.
  absl::Status CheckRoom(const Slot& slot, uint64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Reject(const Worker& worker, const Slot& slot, absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Why it may not answer this call; OK where it may.
  absl::Status CheckHas(const Worker& worker, const CallUpdate& update, const Slot* slot) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // How an update's end ends the call; none: another worker is to try.
  std::optional<EndOf> EndByWorker(const Slot& slot, CallUpdate::End end) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // A stream of that worker has come to another replica.
  void NoteMovedAway(const std::string& key, uint64_t stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Larger than that of every stream that this replica has heard of.
  uint64_t NextStream() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void RemoveServing(const WorkerHandle& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void RemoveNow(const WorkerHandle& worker, Leave leave) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Attach(Slot& slot, const WorkerHandle& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Detach(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // This process stops, and its calls do not.
  bool IsLeavingCalls() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) { return is_draining_ && options_.is_log_durable; }
  bool MayClaim() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_) { return is_caught_up_ && !IsLeavingCalls(); }
  // Gives the call to a worker of this replica that has room.
  void Assign(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void AssignWaitingTo(const WorkerHandle& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void ClaimFor(Slot& slot, const WorkerHandle& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void AppendClaim(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Its worker's stream is told to stop, where there is one.
  static void TellStop(const Slot& slot, StopReason reason);
  void HandOver(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  static CallAck AckOf(const Slot& slot, absl::Status status);
  void Ack(const Worker& worker, const Slot& slot, absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  bool HasWorkerFor(absl::string_view name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  // --- Time (calls_time.cc).
  // A process that has not ticked for longer than this has stood still, or was too busy to follow the log: it does not
  // know what has happened meanwhile, and counts none of that time.
  static constexpr base::MonotonicClock::duration kTickLateMax = std::chrono::seconds(1);
  // Stands still while the log is away, while this process stands still, and while it leaves calls that nobody else
  // can come back to meanwhile.
  base::MonotonicTime Now() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  base::MonotonicTime DeadlineOf(const Slot& slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // When the first of its records goes. REQUIRES: it has ended.
  base::MonotonicTime ForgottenAt(const Slot& slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // When its worker, which has it, has been silent for as long as it may.
  base::MonotonicTime SilentTooLongAt(const Slot& slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // How long it has waited, and been silent and unread, is not known.
  void CountAfresh(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // This replica sees to its deadlines.
  bool KeepsTimeOf(const Slot& slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  bool IsRead(const Slot& slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // It is to stop as soon as nobody reads it.
  static bool StopsAtOnce(const Slot& slot);
  void NoteReaders(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // When something has to be done about the call next, if nothing happens.
  std::optional<base::MonotonicTime> NextDeadline(const Slot& slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Reschedule(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void OnTimeOf(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void StopCall(Slot& slot, StopReason reason, absl::string_view message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // With a turn, only if nobody has claimed or released it since then.
  void EndCall(Slot& slot, const EndOf& end, std::optional<uint32_t> turn = std::nullopt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Its worker will not answer it: another one is to try, or it ends.
  void LoseWorker(Slot& slot, absl::string_view why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void StopUnread(Slot& slot, base::MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void StopSilent(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Decide(Slot& slot, std::vector<log::Record> records) ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Maps give no memory back by themselves.
  void Shrink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void Tick() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // Has Now stand still, or go on, as it is to. Whether the log is away.
  bool StandStill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  // The calls of replicas that are gone are this one's.
  void TakeOverFromReplicas() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void SayPresence() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void EndAllCalls() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);
  void NoteDrained() ABSL_EXCLUSIVE_LOCKS_REQUIRED(loop_);

  loop::EventLoop* const loop_;
  // nullptr once it is detached.
  log::EventLog* log_ ABSL_GUARDED_BY(loop_);
  log::Follower* const answers_;
  const Options options_;
  // Of this process, among those that follow the log.
  const std::string replica_;
  CallsMetrics metrics_;
  // What is posted checks that this still lives.
  const std::shared_ptr<Calls*> self_;

  // Of entries that have not been taken.
  log::FollowBudget budget_;

  absl::BitGen random_ ABSL_GUARDED_BY(loop_);
  uint64_t epoch_ ABSL_GUARDED_BY(loop_) = 0;
  uint64_t followed_ ABSL_GUARDED_BY(loop_) = 0;
  bool is_caught_up_ ABSL_GUARDED_BY(loop_) = false;
  std::deque<Arrival> inbox_ ABSL_GUARDED_BY(loop_);
  bool are_answers_stalled_ ABSL_GUARDED_BY(loop_) = false;

  SlotSet slots_ ABSL_GUARDED_BY(loop_);
  // How many times they have been dropped, for an epoch that began.
  uint32_t generation_ ABSL_GUARDED_BY(loop_) = 0;
  absl::flat_hash_map<std::string, Opening> openings_ ABSL_GUARDED_BY(loop_);
  // By the fingerprint of the idempotency key.
  absl::flat_hash_map<std::string, Slot*> keys_ ABSL_GUARDED_BY(loop_);
  // Those that wait for a worker, the oldest first, by their name.
  absl::flat_hash_map<std::string, absl::btree_map<uint64_t, Slot*>> waiting_ ABSL_GUARDED_BY(loop_);
  size_t waiting_count_ ABSL_GUARDED_BY(loop_) = 0;
  // Calls that have not ended, and how many of each subject and address, openings too.
  size_t open_count_ ABSL_GUARDED_BY(loop_) = 0;
  Counts per_subject_ ABSL_GUARDED_BY(loop_);
  Counts per_address_ ABSL_GUARDED_BY(loop_);
  uint64_t log_bytes_ ABSL_GUARDED_BY(loop_) = 0;
  uint64_t bytes_in_flight_ ABSL_GUARDED_BY(loop_) = 0;
  // Calls of which something has been followed, and their workers, to be acked together: before anything else is done.
  std::vector<std::pair<Slot*, WorkerHandle>> unacked_ ABSL_GUARDED_BY(loop_);

  // Workers that serve, by their key.
  absl::flat_hash_map<std::string, WorkerHandle> serving_ ABSL_GUARDED_BY(loop_);
  // Workers that have come of late, and how many times that is still said: what is ephemeral can be lost.
  absl::flat_hash_map<std::string, int> come_ ABSL_GUARDED_BY(loop_);
  // The largest number of a worker's stream that has been heard of.
  uint64_t last_stream_ ABSL_GUARDED_BY(loop_) = 0;
  // Calls that have not ended, by the worker that has claimed them, on whatever replica.
  absl::flat_hash_map<std::string, absl::flat_hash_set<Slot*>> claims_ ABSL_GUARDED_BY(loop_);

  Replicas replicas_ ABSL_GUARDED_BY(loop_);
  bool is_presence_due_ ABSL_GUARDED_BY(loop_) = false;
  base::MonotonicTime presence_at_ ABSL_GUARDED_BY(loop_) = {};
  FollowWaits follow_waits_ ABSL_GUARDED_BY(loop_);
  // How many of those are lookups.
  size_t lookups_ ABSL_GUARDED_BY(loop_) = 0;
  Rejections rejections_ ABSL_GUARDED_BY(loop_);
  // Workers that have come while the log could not be asked.
  std::vector<WorkerHandle> untaken_ ABSL_GUARDED_BY(loop_);

  // What Now does not count.
  base::MonotonicTime ticked_at_ ABSL_GUARDED_BY(loop_);
  base::MonotonicClock::duration away_total_ ABSL_GUARDED_BY(loop_) = {};
  std::optional<base::MonotonicTime> away_since_ ABSL_GUARDED_BY(loop_);
  loop::CallbackTimer tick_timer_ ABSL_GUARDED_BY(loop_);
  bool is_draining_ ABSL_GUARDED_BY(loop_) = false;
  std::optional<base::MonotonicTime> drain_end_ ABSL_GUARDED_BY(loop_);
  absl::AnyInvocable<void()> on_drained_ ABSL_GUARDED_BY(loop_);
};

}  // namespace bridge::calls
