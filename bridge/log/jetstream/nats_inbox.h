#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <nats/nats.h>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace bridge::log::jetstream {

// A message that has arrived, or none.
class Message {
 public:
  Message() = default;
  explicit Message(natsMsg* message) : message_(message) {}
  // What stands for an answer where nobody listens to the request's subject.
  static Message NoResponders() { return Message(kNoRespondersStatus); }

  bool says_no_responders() const { return status_ == kNoRespondersStatus; }

  explicit operator bool() const { return message_ != nullptr || status_ != 0; }
  absl::string_view subject() const;
  // Empty where there is none.
  absl::string_view reply() const;
  absl::string_view data() const;
  // What a header says; empty where it does not stand in the message.
  absl::string_view header(const char* name) const;
  // Of a message from the server itself: 100 a heartbeat, 408 the end of a request, ...; 0 for all others.
  int status() const;

 private:
  static constexpr int kNoRespondersStatus = 503;

  explicit Message(int status) : status_(status) {}

  struct Free {
    void operator()(natsMsg* message) const { natsMsg_Destroy(message); }
  };
  std::unique_ptr<natsMsg, Free> message_;
  int status_ = 0;
};

// Messages that are done with. The library frees each on a thread of its own, which it wakes and whose lock it takes
// for it: that costs more than to read the message, and little where a thousand come at a time. Not thread-safe.
class SpentMessages {
 public:
  void Add(Message message);
  void Free();

 private:
  std::vector<Message> messages_;
  size_t bytes_ = 0;
};

// Messages of a subject, kept until they are taken; what is more than its bounds is dropped. For one thread at a time.
class Inbox {
 public:
  explicit Inbox(natsSubscription* subscription) : subscription_(subscription) {}
  ~Inbox() { natsSubscription_Destroy(subscription_); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // Waits for the next message. None: nothing came in this time, some were dropped, or the connection is closed.
  Message Next(absl::Duration timeout);

 private:
  natsSubscription* const subscription_;
};

// An inbox and its subject.
struct Address {
  std::string subject;
  Inbox* inbox = nullptr;
};

}  // namespace bridge::log::jetstream
