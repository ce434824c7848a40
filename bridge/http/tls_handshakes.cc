#include "bridge/http/tls_handshakes.h"

#include <cerrno>
#include <cstdint>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <boost/intrusive/list.hpp>

#include "absl/functional/any_invocable.h"
#include "absl/strings/ascii.h"

#include "bridge/http/problem.h"
#include "bridge/http/tls_session.h"
#include "bridge/http/transport.h"
#include "bridge/ops/logging.h"

namespace bridge::http {
namespace {

// RFC 8446 §5.1: what a handshake begins with.
constexpr char kHandshakeRecord = 22;
// On a busy machine the threads get a third of what an event loop gets.
constexpr int kNice = 5;

using ListHook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

}  // namespace

// One handshake. Lives on its worker's loop; owns itself, and is destroyed when it is done or fails.
class TlsHandshakes::Handshake final : private loop::Watcher, private loop::Timer {
 public:
  static void Start(Worker* worker, int fd, ConnectionContext* target);

  ListHook all_hook;
  ListHook begun_hook;

 private:
  friend class TlsHandshakes;
  Handshake(Worker* worker, int fd, ConnectionContext* target);
  ~Handshake() override;

  void OnReady(uint32_t events) override;
  void OnTimer() override;
  // False where nothing has come yet, or the handshake is gone.
  bool Begin();
  // No longer watched, it goes to its event loop.
  void HandOver(absl::AnyInvocable<void(ConnectionContext*, Transport)> start);
  void End(base::SharedMetric* reason);

  static size_t MakeRoom(Worker* worker, const GiveWay& wanted);

  Worker* const worker_;
  ConnectionContext* const target_;
  const base::MonotonicTime begin_;
  int fd_;
  // From its first byte on.
  std::unique_ptr<TlsSession> session_;
};

struct TlsHandshakes::Worker {
  template <ListHook Handshake::* hook>
  using List = boost::intrusive::list<Handshake, boost::intrusive::member_hook<Handshake, ListHook, hook>,
                                      boost::intrusive::constant_time_size<false>>;

  explicit Worker(TlsHandshakes* handshakes) : owner(handshakes), thread("tls") {
    thread.loop().Post([] { setpriority(PRIO_PROCESS, 0, kNice); });  // Linux: of the calling thread
  }

  loop::EventLoop& loop() { return thread.loop(); }

  TlsHandshakes* const owner;
  // The first to connect is the first; and likewise the first to begin.
  List<&Handshake::all_hook> all;
  List<&Handshake::begun_hook> begun;
  size_t begun_count = 0;
  loop::LoopThread thread;
};

void TlsHandshakes::Handshake::Start(Worker* worker, int fd, ConnectionContext* target) {
  worker->loop().AssertOnLoop();
  auto* const handshake = new Handshake(worker, fd, target);  // owns itself
  if (!worker->loop().Watch(fd, handshake).ok()) {
    delete handshake;
    return;
  }
  worker->loop().Schedule(*handshake, absl::ToChronoNanoseconds(worker->owner->options_.timeout));
}

TlsHandshakes::Handshake::Handshake(Worker* worker, int fd, ConnectionContext* target)
    : worker_(worker), target_(target), begin_(base::MonotonicClock::now()), fd_(fd) {
  worker_->all.push_back(*this);
  worker_->owner->metrics_.waiting.Add(1);
}

TlsHandshakes::Handshake::~Handshake() {
  worker_->loop().AssertOnLoop();
  worker_->loop().Cancel(*this);
  if (begun_hook.is_linked()) {
    --worker_->begun_count;
  }
  worker_->owner->metrics_.waiting.Sub(1);
  if (fd_ >= 0) {
    close(fd_);
  }
}

void TlsHandshakes::Handshake::OnReady(uint32_t /*events*/) {
  if (session_ == nullptr && !Begin()) {
    return;
  }
  HandshakeMetrics& metrics = worker_->owner->metrics_;
  switch (session_->ContinueHandshake()) {
    case TlsSession::Handshake::kWaiting:
      return;
    case TlsSession::Handshake::kDone:
      metrics.done.Add(1);
      HandOver([](ConnectionContext* target, Transport transport) { Connection::Start(target, std::move(transport)); });
      return;
    case TlsSession::Handshake::kFailed:
      ops::LogDebug("tls_handshake_failed", {{"reason", session_->failure()}});
      metrics.failed.Add(1);
      session_ = nullptr;  // it has sent an alert that says why
      HandOver(Connection::StartLingering);
      return;
  }
}

bool TlsHandshakes::Handshake::Begin() {
  HandshakeMetrics& metrics = worker_->owner->metrics_;
  char first = 0;
  const ssize_t received = recv(fd_, &first, 1, MSG_PEEK | MSG_DONTWAIT);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) {
    return false;
  }
  if (received <= 0) {
    End(&metrics.failed);
    return false;
  }
  if (absl::ascii_isupper(static_cast<unsigned char>(first))) {
    metrics.not_tls.Add(1);
    HandOver([](ConnectionContext* target, Transport transport) {
      Connection::StartRefused(target, std::move(transport),
                               {.status = 400, .detail = "this port speaks HTTP over TLS: ask it by https://"});
    });
    return false;
  }
  if (first != kHandshakeRecord) {
    End(&metrics.not_tls);
    return false;
  }
  if (worker_->begun_count >= worker_->owner->options_.begun_max / worker_->owner->options_.threads) {
    if (const auto suppressed = worker_->owner->crowded_limiter_.Admit()) {
      ops::LogWarn("tls_handshakes_crowded",
                   {{"begun", worker_->owner->options_.begun_max}, {"suppressed", *suppressed}});
    }
    worker_->begun.front().End(&metrics.crowded);
  }
  session_ = std::make_unique<TlsSession>(worker_->owner->tls_->NewSession(), fd_);
  worker_->begun.push_back(*this);
  ++worker_->begun_count;
  return true;
}

void TlsHandshakes::Handshake::HandOver(absl::AnyInvocable<void(ConnectionContext*, Transport)> start) {
  worker_->loop().AssertOnLoop();
  worker_->loop().Unwatch(fd_, this);
  target_->loop->Post([target = target_, transport = Transport(std::exchange(fd_, -1), std::move(session_)),
                       call = std::move(start)]() mutable { call(target, std::move(transport)); });
  delete this;
}

void TlsHandshakes::Handshake::End(base::SharedMetric* reason) {
  worker_->loop().AssertOnLoop();
  reason->Add(1);
  worker_->loop().Unwatch(fd_, this);
  delete this;
}

void TlsHandshakes::Handshake::OnTimer() { End(&worker_->owner->metrics_.timed_out); }

size_t TlsHandshakes::Handshake::MakeRoom(Worker* worker, const GiveWay& wanted) {
  worker->loop().AssertOnLoop();
  const base::MonotonicTime latest = base::MonotonicClock::now() - wanted.waited_min;
  size_t ended = 0;
  for (auto it = worker->all.begin(); it != worker->all.end() && it->begin_ <= latest && ended < wanted.count_max;) {
    Handshake& handshake = *it++;
    const bool is_idle = handshake.session_ == nullptr;
    if (is_idle == (wanted.which == GiveWay::Which::kIdle)) {
      handshake.End(&worker->owner->metrics_.gave_way);
      ++ended;
    }
  }
  return ended;
}

TlsHandshakes::TlsHandshakes(const TlsContext* tls, const Options& options)
    : tls_(tls), options_(options), crowded_limiter_(absl::Seconds(10)) {
  for (size_t i = 0; i < options_.threads; ++i) {
    workers_.push_back(std::make_unique<Worker>(this));
  }
}

TlsHandshakes::~TlsHandshakes() {
  for (const auto& worker : workers_) {
    worker->thread.BlockOn([&worker] {
      while (!worker->all.empty()) {
        worker->all.front().End(&worker->owner->metrics_.failed);
      }
    });
  }
}

void TlsHandshakes::Take(std::vector<int> fds, ConnectionContext* target) {
  Worker* const worker = workers_[next_++ % workers_.size()].get();
  worker->loop().Post([worker, target, taken = std::move(fds)] {
    for (const int fd : taken) {
      Handshake::Start(worker, fd, target);
    }
  });
}

void TlsHandshakes::MakeRoom(const GiveWay& wanted, const std::function<void(size_t)>& answer) {
  for (const auto& each : workers_) {
    each->loop().Post([worker = each.get(), wanted, answer] { answer(Handshake::MakeRoom(worker, wanted)); });
  }
}

}  // namespace bridge::http
