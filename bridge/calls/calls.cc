#include "bridge/calls/calls.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "bridge/base/status_macros.h"

namespace bridge::calls {
namespace {

// Requests that wait for the log to say whether there is a call that this replica does not know: a client that resets
// its connection and asks again leaves them behind. Each takes about a kilobyte, and as long as the log does.
constexpr size_t kLookupsMax = 10'000;

uint64_t BytesOf(const CallRequest& request) {
  uint64_t bytes = request.body.size() + request.name.size() + request.content_type.size();
  for (const auto& [name, value] : request.metadata) {
    bytes += name.size() + value.size();
  }
  return bytes;
}

// Of the last record; why not all of them are in the log.
absl::StatusOr<log::Position> LastOf(const absl::StatusOr<std::vector<log::Appended>>& appended) {
  RETURN_IF_ERROR(appended.status());
  for (const log::Appended& each : *appended) {
    RETURN_IF_ERROR(each.status);
  }
  return appended->back().position;
}

Calls::Refusal NotFound() {
  return {.kind = Calls::Refusal::Kind::kNotFound,
          .message = "there is no call with this id, or it is not yours, or its answer is no longer kept"};
}

}  // namespace

Calls::Calls(loop::EventLoop* loop, log::EventLog* log, log::Follower* answers, Options options)
    : loop_(loop),
      log_(log),
      answers_(answers),
      options_(std::move(options)),
      replica_(RandomCallId()),
      self_(std::make_shared<Calls*>(this)),
      follow_waits_([this] {
        loop_->AssertOnLoop();
        AskForBounds();
      }),
      ticked_at_(loop->now()),
      tick_timer_([this] {
        loop_->AssertOnLoop();
        Tick();
      }) {
  loop_->AssertOnLoop();
  Tick();
}

Calls::~Calls() {
  loop_->AssertOnLoop();
  *self_ = nullptr;
  loop_->Cancel(tick_timer_);
  for (auto& [id, opening] : openings_) {
    opening.done(Refusal{.kind = Refusal::Kind::kDraining, .message = "the bridge stops"});
  }
}

void Calls::Detach() { log_ = nullptr; }

// --- Between threads.

void Calls::Post(absl::AnyInvocable<void(Calls&)> task) {
  loop_->Post([self = self_, posted = std::move(task)]() mutable {
    if (Calls* const calls = *self) {
      posted(*calls);
    }
  });
}

void Calls::Append(std::vector<log::Record> records, AppendTask done) {
  if (log_ == nullptr) {
    return;
  }
  // The log may answer after this has been destroyed.
  log_->Append(std::move(records), [self = self_, loop = loop_, answer = std::move(done)](
                                       const absl::StatusOr<std::vector<log::Appended>>& appended) mutable {
    loop->Post([self, outcome = LastOf(appended), posted = std::move(answer)]() mutable {
      if (Calls* const calls = *self) {
        posted(*calls, outcome);
      }
    });
  });
}

void Calls::Open(CallRequest request, Done done) {
  Post([wanted = std::move(request), answer = std::move(done)](Calls& calls) mutable {
    calls.loop_->AssertOnLoop();
    calls.OpenNow(std::move(wanted), std::move(answer));
  });
}

void Calls::Find(std::string call_id, Owner owner, Access access, Done done) {
  PostLookup({.call_id = std::move(call_id),
              .owner = std::move(owner),
              .done = std::move(done),
              .then = [access](Calls& calls, Slot& slot, Done answer) {
                calls.loop_->AssertOnLoop();
                answer(calls.ViewOf(slot, access));
              }});
}

void Calls::Cancel(std::string call_id, Owner owner, Done done) {
  PostLookup({.call_id = std::move(call_id),
              .owner = std::move(owner),
              .done = std::move(done),
              .then = [](Calls& calls, Slot& slot, Done answer) {
                calls.loop_->AssertOnLoop();
                calls.CancelSlot(slot, std::move(answer));
              }});
}

void Calls::PostLookup(Lookup lookup) {
  Post([wanted = std::move(lookup)](Calls& calls) mutable {
    calls.loop_->AssertOnLoop();
    calls.FindNow(std::move(wanted));
  });
}

Calls::WorkerHandle Calls::AddWorker(std::shared_ptr<WorkerStream> stream, std::string publisher) {
  return std::make_shared<Worker>(std::move(publisher), std::move(stream));
}

void Calls::SetServe(WorkerHandle worker, Serve serve, absl::AnyInvocable<void()> taken) {
  Post([who = std::move(worker), what = std::move(serve), done = std::move(taken)](Calls& calls) mutable {
    calls.loop_->AssertOnLoop();
    calls.ServeNow(who, std::move(what));
    done();
  });
}

void Calls::Update(WorkerHandle worker, std::vector<CallUpdate> updates, absl::AnyInvocable<void(bool)> taken) {
  Post([who = std::move(worker), what = std::move(updates), done = std::move(taken)](Calls& calls) mutable {
    calls.loop_->AssertOnLoop();
    calls.UpdateNow(who, std::move(what), std::move(done));
  });
}

void Calls::NoteLeaving(WorkerHandle worker) {
  Post([who = std::move(worker)](Calls& calls) {
    calls.loop_->AssertOnLoop();
    who->is_leaving = true;
  });
}

void Calls::RemoveWorker(WorkerHandle worker, Leave leave) {
  Post([who = std::move(worker), leave](Calls& calls) {
    calls.loop_->AssertOnLoop();
    calls.RemoveNow(who, leave);
  });
}

// --- Opening.

std::optional<Calls::Refusal> Calls::CheckMayOpen(const CallRequest& request) const {
  using Kind = Refusal::Kind;
  if (open_count_ >= options_.open_max) {
    return Refusal{.kind = Kind::kOverloaded, .message = "too many calls are open (calls.max_open); try again later"};
  }
  if (log_bytes_ + BytesOf(request) > options_.log_bytes_max) {
    return Refusal{.kind = Kind::kOverloaded,
                   .message = "the calls that are kept take too much room (calls.log.max_bytes); try again later"};
  }
  if (bytes_in_flight_ + BytesOf(request) > options_.bytes_in_flight_max) {
    return Refusal{.kind = Kind::kOverloaded,
                   .message =
                       "the requests of calls without an answer take too much room "
                       "(calls.max_bytes_in_flight); try again later"};
  }
  const auto count_of = [](const auto& counts, absl::string_view key) {
    const auto found = counts.find(key);
    return found == counts.end() ? 0 : found->second;
  };
  const std::string subject = SubjectKeyOf(request.owner.issuer, request.owner.subject);
  if (options_.calls_per_subject != 0 && !subject.empty() &&
      count_of(per_subject_, subject) >= options_.calls_per_subject) {
    return Refusal{.kind = Kind::kSubjectFull,
                   .message = absl::StrCat("this subject has ", options_.calls_per_subject,
                                           " calls open, as many as it may (limits.calls_per_subject)")};
  }
  if (options_.calls_per_address != 0 && !request.address.empty() &&
      count_of(per_address_, request.address) >= options_.calls_per_address) {
    return Refusal{.kind = Kind::kAddressFull,
                   .message = absl::StrCat("this address has ", options_.calls_per_address,
                                           " calls open, as many as it may (limits.calls_per_address)")};
  }
  if (!HasWorkerFor(request.name)) {
    return Refusal{.kind = Kind::kNoWorker,
                   .message = absl::StrCat("no worker serves \"", request.name, "\" now; try again later")};
  }
  if (waiting_count_ + openings_.size() >= options_.queue_max) {
    return Refusal{.kind = Kind::kOverloaded,
                   .message = "too many calls wait for a worker (calls.queue_max); try again later"};
  }
  return std::nullopt;
}

void Calls::OpenNow(CallRequest request, Done done) {
  using Kind = Refusal::Kind;
  if (!is_caught_up_) {
    done(Refusal{.kind = Kind::kStarting, .message = "this replica does not know all calls yet; try again"});
    return;
  }
  if (!options_.names.empty() &&
      std::ranges::none_of(options_.names, [&](const topic::Pattern& name) { return name.Matches(request.name); })) {
    done(Refusal{
        .kind = Kind::kUnknownName,
        .message = absl::StrCat("\"", request.name, "\" is not among the names that can be called (calls.names)")});
    return;
  }
  if (!request.idempotency_key.empty()) {
    if (const auto same = keys_.find(KeyFingerprintOf(request)); same != keys_.end()) {
      done(Join(*same->second, BodyFingerprintOf(request), request.is_async));
      return;
    }
  }
  if (is_draining_) {
    done(Refusal{.kind = Kind::kDraining, .message = "the bridge stops; try again, which leads to another replica"});
    return;
  }
  if (auto refusal = CheckMayOpen(request)) {
    done(*std::move(refusal));
    return;
  }
  const std::string id = RandomCallId();
  log::Record record = OpenRecord(id, request, replica_);
  const uint64_t bytes = BytesOf(request);
  Opening& opening = openings_[id];
  opening = {.done = std::move(done),
             .is_async = request.is_async,
             .address = std::move(request.address),
             .subject = SubjectKeyOf(request.owner.issuer, request.owner.subject),
             .bytes = bytes};
  ++open_count_;
  bytes_in_flight_ += bytes;
  ++per_subject_[opening.subject];
  ++per_address_[opening.address];
  Append(Alone(std::move(record)), [id](Calls& calls, const absl::StatusOr<log::Position>& opened) {
    calls.loop_->AssertOnLoop();
    if (!opened.ok()) {
      calls.FailOpening(id, opened.status());
    }
  });
}

void Calls::CloseOpening(const Opening& opening) {
  --open_count_;
  bytes_in_flight_ -= opening.bytes;
  Uncount(per_subject_, opening.subject);
  Uncount(per_address_, opening.address);
}

void Calls::FailOpening(const std::string& id, const absl::Status& why) {
  const auto found = openings_.find(id);
  if (found == openings_.end()) {
    return;  // it is in the log all the same
  }
  Opening opening = std::move(found->second);
  openings_.erase(found);
  CloseOpening(opening);
  opening.done(Refusal{.kind = Refusal::Kind::kLogAway,
                       .message = absl::StrCat("the call could not be kept: ", why.message(), "; try again")});
}

Calls::Outcome Calls::Join(Slot& slot, absl::string_view body_fingerprint, bool is_async) {
  if (slot.state.body_fingerprint() != body_fingerprint) {
    return Refusal{
        .kind = Refusal::Kind::kOtherBody,
        .message = "this Idempotency-Key stands for a call with another body; take a new key for a new call"};
  }
  Outcome outcome = ViewOf(slot, is_async ? Access::kLook : Access::kRead);
  if (auto* const view = std::get_if<View>(&outcome)) {
    view->is_joined = true;
  }
  return outcome;
}

Calls::Outcome Calls::ViewOf(Slot& slot, Access access) {
  View view = {.id = std::string(slot.state.id().view()),
               .opened = {.epoch = epoch_, .sequence = slot.state.opened_sequence()},
               .newest = slot.state.newest(),
               .end = slot.state.is_ended() ? std::optional<std::string>(slot.state.end()) : std::nullopt,
               .reader = {}};
  if (access == Access::kRead) {
    if (slot.readers >= options_.readers_per_call) {
      return Refusal{.kind = Refusal::Kind::kReadersFull,
                     .message = absl::StrCat("this answer is read by ", options_.readers_per_call,
                                             " already, as many as may be (calls.readers_per_call)")};
    }
    ++slot.readers;
    view.reader = Reader(this, generation_, slot.state.id());
    NoteReaders(slot);
  }
  return view;
}

// --- Finding.

Calls::Slot* Calls::Find(absl::string_view call_id) {
  const auto found = slots_.find(call_id);
  return found == slots_.end() ? nullptr : found->get();
}

Calls::Slot* Calls::FindOwn(absl::string_view call_id, const Owner& owner) {
  Slot* const slot = Find(call_id);
  const bool is_own = slot != nullptr && slot->state.issuer() == owner.issuer && slot->state.subject() == owner.subject;
  return is_own ? slot : nullptr;
}

void Calls::FindNow(Lookup lookup) {
  if (Slot* const slot = FindOwn(lookup.call_id, lookup.owner)) {
    lookup.then(*this, *slot, std::move(lookup.done));
    return;
  }
  if (lookups_ >= kLookupsMax) {
    lookup.done(Refusal{.kind = Refusal::Kind::kOverloaded,
                        .message = "too many wait to hear whether there is such a call; try again later"});
    return;
  }
  // Another replica may have opened it a moment ago.
  ++lookups_;
  follow_waits_.AwaitHead([this, wanted = std::move(lookup)](const absl::Status& status) mutable {
    loop_->AssertOnLoop();
    --lookups_;
    if (!status.ok()) {
      wanted.done(Refusal{.kind = Refusal::Kind::kLogAway,
                          .message = absl::StrCat("whether there is such a call cannot be said now: ", status.message(),
                                                  "; try again")});
    } else if (Slot* const slot = FindOwn(wanted.call_id, wanted.owner)) {
      wanted.then(*this, *slot, std::move(wanted.done));
    } else {
      wanted.done(NotFound());
    }
  });
}

void Calls::AskForBounds() {
  if (!options_.has_replicas || log_ == nullptr) {
    follow_waits_.OnBounds(log::Bounds{.epoch = epoch_, .newest = followed_}, followed());
    return;
  }
  log_->GetBounds([self = self_, loop = loop_](const absl::StatusOr<log::Bounds>& bounds) {
    loop->Post([self, answer = bounds] {
      if (Calls* const calls = *self) {
        calls->loop_->AssertOnLoop();
        calls->follow_waits_.OnBounds(answer, calls->followed());
      }
    });
  });
}

void Calls::CancelSlot(Slot& slot, Done done) {
  if (slot.state.is_ended() || slot.state.stop().has_value()) {
    done(ViewOf(slot, Access::kLook));
    return;
  }
  log::Record stop = StopRecord(slot.state.id(), StopReason::kClient, "cancelled by the client");
  Append(Alone(std::move(stop)), [id = slot.state.id(), answer = std::move(done)](
                                     Calls& calls, const absl::StatusOr<log::Position>& stopped) mutable {
    calls.loop_->AssertOnLoop();
    Slot* const found = calls.Find(id);
    if (!stopped.ok()) {
      answer(Refusal{
          .kind = Refusal::Kind::kLogAway,
          .message = absl::StrCat("the cancel could not be kept: ", stopped.status().message(), "; try again")});
    } else if (found == nullptr) {
      answer(NotFound());
    } else {
      answer(calls.ViewOf(*found, Access::kLook));
    }
  });
}

}  // namespace bridge::calls
