#include "bridge/log/jetstream/reader.h"

namespace bridge::log::jetstream {
namespace {

// A consumer that nobody reads on for so long is let go.
constexpr absl::Duration kDropIdleInterval = absl::Seconds(5);

absl::Status EndingError() { return absl::UnavailableError("the log is ending"); }

}  // namespace

Reader::Reader(const JetStreamOptions& options, Link* link) : pages_(options, link) {
  for (size_t index = 0; index < kReaders; ++index) {
    threads_[index] = std::thread([this, index] { Run(index); });
  }
}

Reader::~Reader() {
  {
    const absl::MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
  for (Question& question : questions_) {
    question(std::nullopt);
  }
}

void Reader::Read(const EventLog::ReadOptions& options, EventLog::ReadCallback done) {
  Ask([this, options, answer = std::move(done)](std::optional<size_t> thread) mutable {
    answer(thread ? pages_.Read(options, *thread) : EndingError());
  });
}

void Reader::GetBounds(EventLog::BoundsCallback done) {
  Ask([this, answer = std::move(done)](std::optional<size_t> thread) mutable {
    answer(thread ? pages_.GetBounds() : EndingError());
  });
}

void Reader::Ask(Question question) {
  const absl::MutexLock lock(&mutex_);
  questions_.push_back(std::move(question));
}

void Reader::Run(size_t index) {
  while (true) {
    Question question;
    {
      const absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return is_ending_ || !questions_.empty(); };
      mutex_.AwaitWithTimeout(absl::Condition(&has_work), kDropIdleInterval);
      if (is_ending_) {
        return;
      }
      if (!questions_.empty()) {
        question = std::move(questions_.front());
        questions_.pop_front();
      }
    }
    if (question) {
      question(index);
    } else {
      pages_.DropIdle();
    }
  }
}

}  // namespace bridge::log::jetstream
