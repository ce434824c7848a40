#include "bridge/loop/event_loop.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"

namespace bridge::loop {
namespace {

// Without descriptors for its own wake-up a loop cannot exist. Loops are made when the process starts, which has
// checked that there are enough.
int CheckedFd(int fd) {
  if (fd < 0) {
    std::perror("event loop: cannot open its descriptors");
    std::abort();
  }
  return fd;
}

constexpr uint32_t kAllEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

// A crowd of clients must not hold up what was posted, the timers and the work.
constexpr auto kLongTurn = std::chrono::milliseconds(1);

}  // namespace

EventLoop::EventLoop()
    : epoll_fd_(CheckedFd(epoll_create1(EPOLL_CLOEXEC))),
      wake_fd_(CheckedFd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))),
      timers_(base::MonotonicClock::now()),
      now_(base::MonotonicClock::now()) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.ptr = nullptr;
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event);
}

EventLoop::~EventLoop() {
  close(wake_fd_);
  close(epoll_fd_);
}

void EventLoop::AssertOnLoop() const {
  assert(thread_.load(std::memory_order_relaxed) == std::thread::id() ||
         thread_.load(std::memory_order_relaxed) == std::this_thread::get_id());
}

void EventLoop::Run() {
  AssertOnLoop();
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  while (!is_stopping_.load(std::memory_order_relaxed)) {
    if (next_event_ == event_count_) {
      event_count_ = std::max(epoll_wait(epoll_fd_, events_.data(), kEventsPerTurn, WaitMilliseconds()), 0);
      next_event_ = 0;
    }
    now_ = base::MonotonicClock::now();
    Dispatch();
    RunPosted();
    timers_.Advance(now_);
    RunSlices();
    NoteTurn();
  }
  thread_.store(std::thread::id(), std::memory_order_relaxed);
}

void EventLoop::Stop() {
  is_stopping_.store(true, std::memory_order_relaxed);
  Post([] {});
}

void EventLoop::Post(absl::AnyInvocable<void()> task) {
  bool was_empty = false;
  {
    const absl::MutexLock lock(&mutex_);
    was_empty = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (was_empty) {
    const uint64_t one = 1;
    // The descriptor is never read: being edge-triggered, it wakes the loop at each write. 2^64 of them do not happen.
    [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
  }
}

absl::Status EventLoop::Watch(int fd, Watcher* watcher) {
  epoll_event event{};
  event.events = kAllEvents;
  event.data.ptr = watcher;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
    return absl::ErrnoToStatus(errno, "epoll_ctl");
  }
  return absl::OkStatus();
}

void EventLoop::Rewatch(int fd, Watcher* from, Watcher* to) {
  for (int i = next_event_; i < event_count_; ++i) {
    if (events_[static_cast<size_t>(i)].data.ptr == from) {
      events_[static_cast<size_t>(i)].data.ptr = nullptr;  // the change below reports it again
    }
  }
  epoll_event event{};
  event.events = kAllEvents;
  event.data.ptr = to;
  epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Unwatch(int fd, Watcher* watcher) {
  for (int i = next_event_; i < event_count_; ++i) {
    if (events_[static_cast<size_t>(i)].data.ptr == watcher) {
      events_[static_cast<size_t>(i)].data.ptr = nullptr;
    }
  }
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::Schedule(Timer& timer, base::MonotonicClock::duration delay) {
  timers_.Schedule(timer, base::MonotonicClock::now() + delay);
}

bool EventLoop::IsTurnLong() const { return base::MonotonicClock::now() - now_ >= kLongTurn; }

void EventLoop::Dispatch() {
  while (next_event_ < event_count_ && !IsTurnLong()) {
    const epoll_event& event = events_[static_cast<size_t>(next_event_++)];
    if (event.data.ptr != nullptr) {
      static_cast<Watcher*>(event.data.ptr)->OnReady(event.events);
    }
  }
}

void EventLoop::RunPosted() {
  {
    const absl::MutexLock lock(&mutex_);
    if (posted_.empty()) {
      return;
    }
    running_.swap(posted_);
  }
  for (auto& task : running_) {
    task();
  }
  running_.clear();
}

void EventLoop::RunSlices() {
  // Those that are awake now: what they wake has its slice in the next turn.
  Work::List due;
  due.swap(awake_);
  while (!due.empty()) {
    Work& work = due.front();
    due.pop_front();
    if (work.RunSlice()) {
      Wake(work);
    }
  }
}

int EventLoop::WaitMilliseconds() const {
  if (!awake_.empty()) {
    return 0;
  }
  const auto next = timers_.NextTime();
  if (!next) {
    return -1;
  }
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*next - base::MonotonicClock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(wait, 0, 60'000));
}

void EventLoop::NoteTurn() {
  const auto busy = static_cast<uint64_t>((base::MonotonicClock::now() - now_).count());
  lag_.turns.fetch_add(1, std::memory_order_relaxed);
  lag_.busy_ns.fetch_add(busy, std::memory_order_relaxed);
  if (busy > lag_.longest_turn_ns.load(std::memory_order_relaxed)) {
    lag_.longest_turn_ns.store(busy, std::memory_order_relaxed);
  }
}

LoopThread::LoopThread(const char* name) : thread_([this] { loop_.Run(); }) {
  pthread_setname_np(thread_.native_handle(), name);
}

LoopThread::~LoopThread() {
  loop_.Stop();
  thread_.join();
}

void LoopThread::BlockOn(absl::AnyInvocable<void()> task) {
  absl::Notification done;
  loop_.Post([&] {
    task();
    done.Notify();
  });
  done.WaitForNotification();
}

}  // namespace bridge::loop
