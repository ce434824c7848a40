#include "tests/chaos/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace bridge::chaos {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string IdAt(uint64_t sequence) { return log::EventIdOf({.epoch = 7, .sequence = sequence}); }

// A ledger of the topics a and b, stream 0 that follows both and stream 1 that follows a; what a bridge does is told to
// it step by step.
class LedgerTest : public testing::Test {
 protected:
  void Publish(size_t count, size_t topic = 0, size_t publisher = 0) {
    for (size_t i = 0; i < count; ++i) {
      ledger_.NotePublished(publisher, topic);
    }
  }
  void Ack(size_t begin, size_t end, uint64_t first, uint64_t last, size_t publisher = 0) {
    ledger_.NoteAcked(
        {.publisher = publisher, .begin = begin, .end = end, .first_id = IdAt(first), .last_id = IdAt(last)});
  }
  void Receive(size_t stream, size_t number, uint64_t sequence, size_t publisher = 0) {
    ledger_.NoteReceived(stream, {.id = IdAt(sequence), .data = DataOf({.publisher = publisher, .number = number})});
  }
  void ReceiveControl(size_t stream, const std::string& type, const std::string& id) {
    ledger_.NoteReceived(stream, {.id = id, .type = type, .data = "{}"});
  }

  Ledger ledger_{{"a", "b"}, {{"*"}, {"a"}}};
};

TEST_F(LedgerTest, FindsNothingWhereAllIsWell) {
  ReceiveControl(0, "bridge.open", IdAt(0));
  Publish(2, 0);
  Publish(1, 1);
  Receive(0, 0, 1);
  Ack(0, 3, 1, 4);
  Receive(0, 1, 3);
  Receive(0, 2, 4);
  EXPECT_FALSE(ledger_.IsCaughtUp());  // stream 1 has nothing yet
  Receive(1, 0, 1);
  ReceiveControl(1, "bridge.closing", IdAt(1));
  ReceiveControl(1, "bridge.closing", "");
  ReceiveControl(1, "bridge.open", IdAt(1));
  Receive(1, 1, 3);
  EXPECT_TRUE(ledger_.IsCaughtUp());
  EXPECT_THAT(ledger_.Check(), IsEmpty());
}

TEST_F(LedgerTest, TakesWhatWasNeverAckedOnceOrNotAtAll) {
  Publish(2);
  Receive(0, 0, 1);
  Receive(1, 0, 1);
  EXPECT_TRUE(ledger_.IsCaughtUp());
  EXPECT_THAT(ledger_.Check(), IsEmpty());
  EXPECT_EQ(ledger_.totals().never_acked_but_kept, 1U);
}

TEST_F(LedgerTest, FindsAnAckedEventThatNobodyGot) {
  Publish(2);
  Ack(0, 2, 1, 2);
  for (const size_t stream : {size_t{0}, size_t{1}}) {
    Receive(stream, 0, 1);
  }
  EXPECT_FALSE(ledger_.IsCaughtUp());
  EXPECT_THAT(ledger_.Check(), Contains(HasSubstr("event 1 of publisher 0 was acked")));
}

TEST_F(LedgerTest, FindsAnEventThatOneStreamDidNotGet) {
  Publish(2);
  Ack(0, 2, 1, 2);
  Receive(0, 0, 1);
  Receive(0, 1, 2);
  Receive(1, 1, 2);
  EXPECT_TRUE(ledger_.IsCaughtUp());
  EXPECT_THAT(ledger_.Check(), Contains(HasSubstr("without event 0 of publisher 0 at 1")));
}

TEST_F(LedgerTest, FindsAnEventThatIsTwiceInTheLog) {
  Publish(1);
  for (const size_t stream : {size_t{0}, size_t{1}}) {
    Receive(stream, 0, 1);
    Receive(stream, 0, 2);
  }
  EXPECT_THAT(ledger_.Check(), Contains(HasSubstr("twice, at 1 and 2")));
}

TEST_F(LedgerTest, FindsAnEventThatOneStreamGotTwice) {
  Publish(1);
  Receive(0, 0, 1);
  Receive(1, 0, 1);
  Receive(1, 0, 1);
  EXPECT_THAT(ledger_.Check(), Contains(HasSubstr("stream 1 (a) got message \"0 0\" at 1 after an id at 1")));
  EXPECT_THAT(ledger_.Check(), Contains(HasSubstr("too often or unasked for event 0 of publisher 0 at 1")));
}

TEST_F(LedgerTest, FindsAResendThatWasOvertaken) {
  Publish(2);
  for (const size_t stream : {size_t{0}, size_t{1}}) {
    Receive(stream, 1, 1);
    Receive(stream, 0, 2);
  }
  EXPECT_THAT(ledger_.Check(), Contains(HasSubstr("event 1 of publisher 0 is at 1, behind a later one at 2")));
}

TEST_F(LedgerTest, FindsStreamsThatWereToldDifferentThings) {
  Publish(2);
  Receive(0, 0, 1);
  Receive(1, 1, 1);
  EXPECT_THAT(ledger_.Check(), Contains(HasSubstr("where others got event 0")));
}

TEST_F(LedgerTest, FindsAnEventThatWasNotAskedFor) {
  Publish(1, 1);
  Receive(0, 0, 1);
  Receive(1, 0, 1);
  EXPECT_THAT(ledger_.Check(), Contains(HasSubstr("stream 1 (a) got 1 events instead of 0")));
}

TEST_F(LedgerTest, FindsAnAckWithIdsThatAreNotTheEvents) {
  Publish(1);
  Ack(0, 1, 2, 2);
  Receive(0, 0, 1);
  Receive(1, 0, 1);
  EXPECT_THAT(ledger_.Check(), Contains(HasSubstr("were acked with 7-2 to 7-2 and are at 7-1 to 7-1")));
}

TEST_F(LedgerTest, FindsGapsStrangersAndIdsThatGoBack) {
  ReceiveControl(0, "bridge.gap", IdAt(3));
  ReceiveControl(0, "bridge.heartbeat", IdAt(2));
  ReceiveControl(0, "bridge.open", log::EventIdOf({.epoch = 8, .sequence = 4}));
  Receive(0, 0, 5, 9);
  ledger_.NoteReceived(1, {.id = "", .data = "0 0"});
  ledger_.NoteViolation("a bridge fell over");
  const std::vector<std::string> violations = ledger_.Check();
  EXPECT_THAT(violations, Contains(HasSubstr("was told of a gap")));
  EXPECT_THAT(violations, Contains(HasSubstr("got bridge.heartbeat \"{}\" at 2 after an id at 3")));
  EXPECT_THAT(violations, Contains(HasSubstr("got bridge.open of another epoch: 8-4")));
  EXPECT_THAT(violations, Contains(HasSubstr("got what nobody published: \"9 0\"")));
  EXPECT_THAT(violations, Contains(HasSubstr("with the id \"\"")));
  EXPECT_THAT(violations, Contains("a bridge fell over"));
}

}  // namespace
}  // namespace bridge::chaos
