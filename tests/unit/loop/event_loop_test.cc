#include "bridge/loop/event_loop.h"

#include <atomic>
#include <functional>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"

namespace bridge::loop {
namespace {

class CallWatcher final : public Watcher {
 public:
  explicit CallWatcher(std::function<void(uint32_t)> on_ready) : on_ready_(std::move(on_ready)) {}

 private:
  void OnReady(uint32_t events) override { on_ready_(events); }
  std::function<void(uint32_t)> on_ready_;
};

struct SocketPair {
  SocketPair() { socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds); }
  ~SocketPair() {
    close(fds[0]);
    close(fds[1]);
  }
  int fds[2] = {-1, -1};
};

TEST(EventLoop, RunsWhatIsPostedInTheOrderOfEachCaller) {
  constexpr size_t kCallers = 4;
  constexpr int kPosts = 20'000;
  LoopThread thread("test");
  std::vector<int> last(kCallers, -1);
  std::vector<std::thread> callers;
  for (size_t caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < kPosts; ++i) {
        thread.loop().Post([&, caller, i] {
          EXPECT_EQ(last[caller], i - 1);
          last[caller] = i;
        });
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  thread.BlockOn([&] { EXPECT_EQ(last, std::vector<int>(kCallers, kPosts - 1)); });
}

TEST(EventLoop, LosesNoWakeUp) {
  LoopThread thread("test");
  for (int i = 0; i < 20'000; ++i) {
    thread.BlockOn([] {});  // would hang
  }
}

TEST(EventLoop, CrowdOfReadyWatchersDoesNotHoldUpWhatIsPosted) {
  LoopThread thread("test");
  constexpr size_t kWatchers = 100;
  const std::vector<SocketPair> pairs(kWatchers);
  size_t called = 0;
  size_t called_before_posted = 0;
  absl::Notification all_called;
  CallWatcher watcher([&](uint32_t) {
    EventLoop& loop = thread.loop();
    loop.AssertOnLoop();
    if (called == 0) {
      loop.Post([&] { called_before_posted = called; });
    }
    while (!loop.IsTurnLong()) {
    }
    if (++called == kWatchers) {
      all_called.Notify();
    }
  });
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    for (const SocketPair& pair : pairs) {
      ASSERT_TRUE(thread.loop().Watch(pair.fds[0], &watcher).ok());
    }
  });
  all_called.WaitForNotification();
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    EXPECT_EQ(called_before_posted, 1U);
    for (const SocketPair& pair : pairs) {
      thread.loop().Unwatch(pair.fds[0], &watcher);
    }
  });
}

TEST(EventLoop, TellsAWatcherWhatIsReadyAlsoAfterARewatch) {
  LoopThread thread("test");
  SocketPair pair;
  absl::Notification first_called;
  absl::Notification second_called;
  CallWatcher first([&](uint32_t events) {
    if ((events & EPOLLIN) != 0 && !first_called.HasBeenNotified()) {
      first_called.Notify();
    }
  });
  CallWatcher second([&](uint32_t events) {
    EXPECT_NE(events & EPOLLIN, 0U);  // has not been read
    second_called.Notify();
  });
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    ASSERT_TRUE(thread.loop().Watch(pair.fds[0], &first).ok());
  });
  ASSERT_EQ(write(pair.fds[1], "x", 1), 1);
  first_called.WaitForNotification();
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    thread.loop().Rewatch(pair.fds[0], &first, &second);
  });
  second_called.WaitForNotification();
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    thread.loop().Unwatch(pair.fds[0], &second);
  });
}

TEST(EventLoop, DoesNotCallAWatcherThatAnotherHasUnwatchedInTheSameTurn) {
  LoopThread thread("test");
  SocketPair one;
  SocketPair two;
  std::atomic<int> calls{0};
  std::unique_ptr<CallWatcher> first;
  std::unique_ptr<CallWatcher> second;
  const auto end_both = [&](uint32_t events) {
    if ((events & EPOLLIN) == 0) {
      return;
    }
    thread.loop().AssertOnLoop();
    ++calls;
    thread.loop().Unwatch(one.fds[0], first.get());
    thread.loop().Unwatch(two.fds[0], second.get());
  };
  first = std::make_unique<CallWatcher>(end_both);
  second = std::make_unique<CallWatcher>(end_both);
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    ASSERT_EQ(write(one.fds[1], "x", 1), 1);
    ASSERT_EQ(write(two.fds[1], "x", 1), 1);
    ASSERT_TRUE(thread.loop().Watch(one.fds[0], first.get()).ok());
    ASSERT_TRUE(thread.loop().Watch(two.fds[0], second.get()).ok());
  });
  thread.BlockOn([] {});
  thread.BlockOn([] {});
  EXPECT_EQ(calls, 1);
}

// Has something to do as long as `wants` says so.
class CountingWork final : public Work {
 public:
  explicit CountingWork(std::function<bool()> wants) : wants_(std::move(wants)) {}

  int slices() const { return slices_; }

 private:
  bool RunSlice() override {
    ++slices_;
    return wants_();
  }

  const std::function<bool()> wants_;
  std::atomic<int> slices_{0};
};

TEST(EventLoop, WorkIsDoneInSlicesBetweenWhichOthersHaveTheirTurn) {
  LoopThread thread("test");
  std::atomic<bool> is_enough{false};
  CountingWork work([&] { return !is_enough; });
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    thread.loop().Wake(work);
  });
  for (int i = 0; i < 100; ++i) {
    thread.BlockOn([] {});  // is run although there is always work
  }
  EXPECT_GT(work.slices(), 0);
  is_enough = true;
  thread.BlockOn([] {});
  thread.BlockOn([] {});
  const int slices = work.slices();
  thread.BlockOn([] {});
  EXPECT_EQ(work.slices(), slices) << "there is nothing to do any more";
}

TEST(EventLoop, WorksTakeTurnsAndAreWokenAndCanceledEachByItself) {
  LoopThread thread("test");
  CountingWork endless([] { return true; });
  CountingWork other([] { return true; });
  CountingWork once([] { return false; });
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    for (Work* const work : std::initializer_list<Work*>{&endless, &other, &once, &once}) {
      thread.loop().Wake(*work);
    }
  });
  for (int i = 0; i < 100; ++i) {
    thread.BlockOn([] {});
  }
  int slices_of_other = 0;
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    EXPECT_LE(std::abs(endless.slices() - other.slices()), 1);
    slices_of_other = other.slices();
    thread.loop().Cancel(other);
    thread.loop().Wake(once);
  });
  thread.BlockOn([] {});
  thread.BlockOn([] {});
  EXPECT_GT(endless.slices(), slices_of_other);
  EXPECT_EQ(other.slices(), slices_of_other);
  EXPECT_EQ(once.slices(), 2);
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    thread.loop().Cancel(endless);
  });
}

TEST(EventLoop, WorkMayCancelOtherWorkThatIsDueInTheSameTurn) {
  LoopThread thread("test");
  CountingWork canceled([] { return true; });
  CountingWork canceling([&] {
    thread.loop().AssertOnLoop();
    thread.loop().Cancel(canceled);
    return false;
  });
  thread.BlockOn([&] {
    thread.loop().AssertOnLoop();
    thread.loop().Wake(canceling);
    thread.loop().Wake(canceled);
  });
  thread.BlockOn([] {});
  thread.BlockOn([] {});
  EXPECT_EQ(canceling.slices(), 1);
  EXPECT_EQ(canceled.slices(), 0);
}

}  // namespace
}  // namespace bridge::loop
