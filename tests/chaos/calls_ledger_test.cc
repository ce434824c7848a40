#include "tests/chaos/calls_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

#include "bridge/log/position.h"

namespace bridge::chaos {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A ledger of one reader, whose call is C; what a bridge does is told to it step by step.
class CallsLedgerTest : public testing::Test {
 protected:
  void Open(const std::string& call_id = "C") {
    Receive("bridge.open", absl::StrCat(R"({"call_id":")", call_id, R"(","url":")", call_id, R"("})"));
  }
  // A worker's token, which stands behind all that came before it.
  void Token(uint64_t index, uint32_t attempt = 1, const std::string& worker = "w1") {
    Receive("message", DataOf({.worker = worker, .attempt = attempt, .index = index}));
  }
  void End(const std::string& status) { Receive("bridge.end", absl::StrCat(R"({"status":")", status, R"("})")); }
  void Receive(const std::string& type, const std::string& data) {
    ledger_.NoteReceived(0, {.id = log::EventIdOf({.epoch = 7, .sequence = ++sequence_}), .type = type, .data = data});
  }
  // The call is answered with two tokens by w1.
  void AnswerWhole() {
    Open();
    ledger_.NoteGiven("C", 1, "w1");
    Token(0);
    Token(1);
    ledger_.NoteComplete("C", 1, 2);
    ledger_.NoteStopped("C", 1, start_);
    End("ok");
  }
  std::vector<std::string> Check(absl::Duration after = absl::ZeroDuration()) const {
    return ledger_.Check(start_ + after);
  }

  const absl::Time start_ = absl::FromUnixSeconds(1'000);
  uint64_t sequence_ = 0;
  CallsLedger ledger_{{.readers = 1, .grace = absl::Seconds(10), .stop_slack = absl::Seconds(6)}};
};

TEST_F(CallsLedgerTest, FindsNothingWhereAllIsWell) {
  AnswerWhole();
  EXPECT_TRUE(ledger_.HasEnd(0));
  EXPECT_THAT(Check(), IsEmpty());
  EXPECT_EQ(ledger_.totals().statuses, (std::map<std::string, size_t>{{"ok", 1}}));
}

TEST_F(CallsLedgerTest, TakesAnAnswerThatIsReadAgain) {
  AnswerWhole();
  ledger_.NoteReads(0, CallsLedger::From::kBeginning);
  sequence_ = 0;
  Open();
  Token(0);
  ledger_.NoteReads(0, CallsLedger::From::kWhereItWas);
  Open();
  Token(1);
  End("ok");
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(CallsLedgerTest, FindsALoss) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  Token(0);
  Token(2);
  EXPECT_THAT(Check(), Contains(HasSubstr("got token 2 where 1 comes next: a loss")));
}

TEST_F(CallsLedgerTest, FindsADouble) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  Token(0);
  Token(0);
  EXPECT_THAT(Check(), Contains(HasSubstr("got token 0 where 1 comes next: a double")));
}

TEST_F(CallsLedgerTest, FindsAnAnswerThatEndsBeforeItsLastTokens) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  Token(0);
  ledger_.NoteComplete("C", 1, 2);
  End("ok");
  EXPECT_THAT(Check(), Contains(HasSubstr("it has 1 tokens, its worker sent 2")));
}

TEST_F(CallsLedgerTest, FindsASecondOwner) {
  ledger_.NoteGiven("C", 1, "w1");
  ledger_.NoteGiven("C", 2, "w2");
  ledger_.NoteGiven("C", 2, "w3");
  EXPECT_THAT(Check(), Contains("attempt 2 of call C was given to w2 and then to w3"));
}

TEST_F(CallsLedgerTest, FindsATokenOfWhoDoesNotHaveTheCall) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  Token(0, 1, "w2");
  EXPECT_THAT(Check(), Contains(HasSubstr("got a token of w2, which does not have attempt 1")));
}

TEST_F(CallsLedgerTest, FindsAnAnswerOfTwoAttempts) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  ledger_.NoteGiven("C", 2, "w2");
  Token(0, 1, "w1");
  Token(1, 2, "w2");
  EXPECT_THAT(Check(), Contains(HasSubstr("got tokens of attempts 1 and 2")));
}

TEST_F(CallsLedgerTest, FindsASecondCallForOneQuestion) {
  Open("C");
  Open("D");
  EXPECT_THAT(Check(), Contains(HasSubstr("was then answered with call D")));
}

TEST_F(CallsLedgerTest, FindsWhatComesAfterTheEndAndAnotherEnd) {
  AnswerWhole();
  Token(2);
  End("failed");
  EXPECT_THAT(Check(), Contains(HasSubstr("got token 2 after the end")));
  EXPECT_THAT(Check(), Contains(HasSubstr(R"(ended with {"status":"ok"} and then with {"status":"failed"})")));
}

TEST_F(CallsLedgerTest, FindsACallThatIsLostWithoutAWord) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  Token(0);
  EXPECT_THAT(Check(), ElementsAre(HasSubstr("got no end, and 1 tokens")));
}

TEST_F(CallsLedgerTest, FindsAWorkerThatIsLostAndLives) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  End("worker_lost");
  EXPECT_THAT(Check(), ElementsAre(HasSubstr("its worker lives")));
}

TEST_F(CallsLedgerTest, TakesTheEndOfACallWhoseWorkerIsDead) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  Token(0);
  ledger_.NoteDead("w1", start_);
  End("worker_lost");
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(CallsLedgerTest, FindsAnEndThatNobodyWanted) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  End("cancelled");
  ledger_.NoteReads(0, CallsLedger::From::kBeginning);
  End("abandoned");
  EXPECT_THAT(Check(), Contains(HasSubstr("nobody cancelled it")));
}

TEST_F(CallsLedgerTest, FindsAWorkerThatWorksForNobody) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  ledger_.NoteLeft(0, start_);
  ledger_.NoteStopped("C", 1, start_ + absl::Seconds(17));
  End("abandoned");
  EXPECT_THAT(Check(absl::Seconds(20)), ElementsAre(HasSubstr("w1 worked on for 17s after its reader had left")));
}

TEST_F(CallsLedgerTest, GivesAWorkerMoreTimeWhereSomethingFailed) {
  Open();
  ledger_.NoteGiven("C", 1, "w1");
  ledger_.NoteLeft(0, start_);
  ledger_.NoteFault(start_ + absl::Seconds(1), absl::Seconds(2));
  ledger_.NoteStopped("C", 1, start_ + absl::Seconds(17));
  End("abandoned");
  EXPECT_THAT(Check(absl::Seconds(20)), IsEmpty());
}

}  // namespace
}  // namespace bridge::chaos
