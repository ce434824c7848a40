#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nats/nats.h>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/log/jetstream/nats_inbox.h"
#include "bridge/log/jetstream/options.h"

namespace bridge::log::jetstream {

// A connection to a NATS server, which is never mended: where it breaks, a new one is made. So nothing that was meant
// for the old one can be sent on it later, behind what has been answered in the meantime.
//
// What comes in on it comes by inboxes that end after it: the library's reader does not hold the subscription of the
// message that it has in hand, and aborts or hangs where that is gone (nats.c issue 637, before 3.6.1). The library's
// own requests share a subscription that it frees while the reader still runs, so that they are not used.
//
// Thread-safe.
class NatsConnection {
 public:
  // Tries all servers of the options' URL, then `more_servers`, once each. `on_closed` is called once, on a thread of
  // the library's, after it has been closed or has broken. May block for 2 s a server.
  static absl::StatusOr<std::shared_ptr<NatsConnection>> Connect(const JetStreamOptions& options,
                                                                 const std::vector<std::string>& more_servers,
                                                                 absl::AnyInvocable<void()> on_closed);
  // Closes it, and waits for `on_closed`.
  ~NatsConnection();
  NatsConnection(const NatsConnection&) = delete;
  NatsConnection& operator=(const NatsConnection&) = delete;

  // Ends what waits on it.
  void Close();
  bool is_open() const;
  // Why it broke, or what the server has refused, as the server said it.
  std::string last_error() const;

  // The largest message that the server takes, with its headers.
  size_t max_payload() const { return max_payload_; }
  std::string server() const;
  // The other servers of its cluster, as URLs without names and passwords.
  std::vector<std::string> DiscoveredServers() const;

  struct Outgoing {
    const std::string& subject;
    // Where the answer goes; empty for none.
    const std::string& reply;
    absl::string_view data;
    // JetStream's message id; empty for none.
    const std::string& message_id;
  };
  // Hands it to the connection; blocks where the server does not read. After an error the connection is no good.
  absl::Status Publish(const Outgoing& message);

  // Asks, and waits for the answer.
  absl::StatusOr<std::string> Request(const std::string& subject, absl::string_view data, absl::Duration timeout);

  struct InboxLimits {
    int messages = 0;
    int bytes = 0;
  };
  // The inbox lives as long as the connection.
  absl::StatusOr<Inbox*> Subscribe(const std::string& subject, const InboxLimits& limits);
  // For what comes to SUBJECT.TOKEN, of a subject that nobody else subscribes to.
  absl::StatusOr<Address> SubscribeBelowNew(const InboxLimits& limits);
  // Waits until the server knows what has been subscribed to.
  absl::Status Flush();
  // Sends what has been published, which otherwise waits a millisecond for more, and waits for the server to say so;
  // meanwhile more gathers, so that a busy publisher makes few calls. Not for long.
  void SendNow();

 private:
  struct Events;

  NatsConnection(natsConnection* connection, std::shared_ptr<Events> events);

  static void OnClosed(natsConnection* connection, void* closure);
  static void OnError(natsConnection* connection, natsSubscription* subscription, natsStatus error, void* closure);

  // For the answers to one request at a time: under SUBJECT.NUMBER, so that one that comes too late is known.
  struct AnswerInbox {
    Address address;
    uint64_t asked = 0;
  };
  absl::StatusOr<AnswerInbox> TakeAnswerInbox();
  void GiveBack(AnswerInbox answers);
  // What comes to `reply`, or that nobody answers; none where neither does by then.
  Message AwaitAnswer(const std::string& reply, base::MonotonicTime deadline, Inbox* inbox) const;

  natsConnection* const connection_;
  const std::shared_ptr<Events> events_;
  const size_t max_payload_;
  absl::Mutex mutex_;
  std::vector<std::unique_ptr<Inbox>> inboxes_ ABSL_GUARDED_BY(mutex_);
  std::vector<AnswerInbox> idle_answer_inboxes_ ABSL_GUARDED_BY(mutex_);
};

// The servers of a comma-separated list of URLs, without names and passwords.
std::string ServersOf(absl::string_view url);

}  // namespace bridge::log::jetstream
