#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/intrusive/list.hpp>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

#include "bridge/base/clock.h"
#include "bridge/base/metric.h"
#include "bridge/http/chunked_decoder.h"
#include "bridge/http/cors.h"
#include "bridge/http/deferred_answer.h"
#include "bridge/http/dispatcher.h"
#include "bridge/http/request_head.h"
#include "bridge/http/room_maker.h"
#include "bridge/http/transport.h"
#include "bridge/loop/event_loop.h"

namespace bridge::http {

// The bounds of what a client may send and how long it may take.
struct ConnectionLimits {
  size_t head_bytes_max = size_t{16} << 10;
  size_t body_bytes_max = size_t{64} << 10;
  // For a head, and again for a body, to arrive.
  absl::Duration head_timeout = absl::Seconds(10);
  absl::Duration idle_timeout = absl::Seconds(60);
  // Without progress of a response.
  absl::Duration send_timeout = absl::Seconds(30);
  // Until an answer comes that has been deferred.
  absl::Duration answer_timeout = absl::Seconds(60);
  // Of all responses that wait to be sent, on all connections.
  uint64_t unsent_bytes_max = uint64_t{64} << 20;
  // Of all requests that are not whole or not yet answered, on all connections. Over it, of the requests that are not
  // whole and take more than a few kilobytes those are refused that have done so for longest. Several of the largest
  // requests fit into it.
  uint64_t request_bytes_max = uint64_t{64} << 20;
  // Of the limit of open files so many are left to others; where it is below 2,000, proportionally fewer.
  uint64_t reserved_descriptors = 0;
};

// What the connections of a server count. Thread-safe.
struct ConnectionMetrics {
  base::SharedMetric accepted;
  base::SharedMetric open;
  base::SharedMetric requests;
  base::SharedMetric refused;
  base::SharedMetric timed_out;
  base::SharedMetric gave_way;
  base::SharedMetric unsent_bytes;
  base::SharedMetric request_bytes;
};

// What the connections of one loop share.
struct ConnectionContext;

// One connection from a client, up to the point where an event stream takes its socket over. Reads a request whole,
// within bounds, has it answered, now or later, and sends the answer: so a slow client costs its bytes and no thread or
// stack. While an answer is waited for, a client that ends its side of the connection is gone.
//
// Lives on its EventLoop; owns itself, and is destroyed when the connection ends or is parked.
class Connection final : private loop::Watcher, private loop::Timer {
 public:
  static void Start(ConnectionContext* context, Transport transport);
  // The same, and nothing is read of it: the answer is this one.
  static void StartRefused(ConnectionContext* context, Transport transport, const Refusal& refusal);
  // The same, where all that there is to say has been said: it is closed so that the client sees that.
  static void StartLingering(ConnectionContext* context, Transport transport);

  // Closes all connections of the context at once.
  static void CloseAll(ConnectionContext* context);
  // Closes some that wait for their clients. Returns how many.
  static size_t MakeRoom(ConnectionContext* context, const GiveWay& wanted);

 private:
  enum class State { kReading, kAwaiting, kWriting, kLingering };
  friend struct ConnectionContext;
  friend class TurnQueue;
  using Hook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

  Connection(ConnectionContext* context, Transport transport);
  // nullptr where it cannot be watched.
  static Connection* Create(ConnectionContext* context, Transport transport);
  ~Connection() override;

  void OnReady(uint32_t events) override;
  void OnTimer() override;
  // Goes on as far as it can. The connection may be gone after it, as after the next two.
  void TakeTurn();
  void CountRequestBytes();
  // All connections together hold too much of requests, and this one has done so for longest.
  void GiveRequestUp();

  // These return false where the connection is gone.
  bool Receive();
  bool Advance();
  bool Send();
  bool Answer();
  // Answers the request whose answer has been waited for, where that has come.
  bool Resume();

  // Sends of the output what the client takes now; false where the connection is broken.
  bool Push();
  void Enqueue(std::string bytes);
  // Goes on with reading and answering when others have had their turn.
  void Yield();

  // What has to come next before a request is whole: nothing (it is), or more bytes.
  enum class Progress { kNeedsMore, kWhole, kRefused };
  Progress TakeHead();
  Progress TakeBody();
  void Refuse(const Refusal& refusal);
  void Respond(std::string response, bool is_keep_alive);
  // Waits for the answer to `request`.
  struct Pending;
  void Await(std::unique_ptr<Pending> request, std::shared_ptr<AwaitedAnswer> answer);
  void OnAnswer(ResumedHandler handler);
  // The answer is not waited for any longer.
  void AnswerLate();
  void Linger();
  void Close();
  // From now on it waits for something else, and so long.
  void SetDeadline(absl::Duration after);
  // It waits for a request of which nothing has come.
  bool IsIdle() const { return state_ == State::kReading && input_.empty() && pending_ == nullptr; }

  ConnectionContext* const context_;
  Transport transport_;
  State state_ = State::kReading;
  bool is_keep_alive_ = true;
  bool is_input_ended_ = false;
  bool has_unread_input_ = false;
  // A request has been answered, and no other connection has had its turn since.
  bool has_had_turn_ = false;
  size_t lingered_bytes_ = 0;
  size_t counted_request_bytes_ = 0;
  std::string input_;
  std::string output_;
  size_t output_sent_ = 0;
  base::MonotonicTime waiting_since_;

  // The request that is being read: its head has been parsed (the views are into head_text), its body is not whole. Or
  // one whose answer is waited for.
  struct Pending {
    Pending() = default;
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() {
      if (awaited != nullptr) {
        awaited->Forget();
      }
    }

    std::string head_text;
    RequestHead head;
    std::string body;
    std::optional<ChunkedDecoder> decoder;
    std::shared_ptr<AwaitedAnswer> awaited;
    // What has come for it.
    ResumedHandler resumed;
  };
  std::unique_ptr<Pending> pending_;
  // In one of the lists of the context.
  Hook hook_;
  // In context_->holders.
  Hook holder_hook_;
  // Of the TurnQueue.
  Hook turn_hook_;

 public:
  using List = boost::intrusive::list<Connection, boost::intrusive::member_hook<Connection, Hook, &Connection::hook_>,
                                      boost::intrusive::constant_time_size<false>>;
  using HolderList =
      boost::intrusive::list<Connection, boost::intrusive::member_hook<Connection, Hook, &Connection::holder_hook_>,
                             boost::intrusive::constant_time_size<false>>;
};

// The connections of a loop whose next request is there already, and which let others have their turn first.
//
// Lives on its EventLoop.
class TurnQueue final : private loop::Timer {
 public:
  explicit TurnQueue(loop::EventLoop* loop) : loop_(loop) {}

  // It leaves the queue when it is destroyed.
  void Add(Connection& connection);
  // REQUIRES: called before the destruction, with no connection left.
  void Stop();

 private:
  void OnTimer() override;

  loop::EventLoop* const loop_;
  boost::intrusive::list<Connection,
                         boost::intrusive::member_hook<Connection, Connection::Hook, &Connection::turn_hook_>,
                         boost::intrusive::constant_time_size<false>>
      waiting_;
};

struct ConnectionContext {
  loop::EventLoop* loop;
  size_t loop_index;
  Dispatcher* dispatcher;
  ConnectionLimits limits;
  ConnectionMetrics* metrics;
  // For answers that no handler gives; may be nullptr.
  const Cors* cors;
  // Those that wait for a request, those of whose request (or end) something has come, and those whose request has come
  // whole, and that an answer is waited for or being sent to: each by the time since when.
  Connection::List idle = {};
  Connection::List unfinished = {};
  Connection::List answered = {};
  // Those that hold more than a few kilobytes of a request that is not whole, by the time since when.
  Connection::HolderList holders = {};
  TurnQueue turns{loop};
};

}  // namespace bridge::http
