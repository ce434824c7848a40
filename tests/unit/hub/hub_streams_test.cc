#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "tests/support/bridge_process.h"
#include "tests/unit/hub/hub_fixture.h"

#include "bridge/hub/hub.h"
#include "bridge/log/position.h"

namespace bridge::hub {
namespace {

class HubStreamsTest : public HubFixture {
 protected:
  HubStreamsTest() : HubFixture(HubOptions()) {}

  static Start After(uint64_t sequence) {
    return {.kind = Start::Kind::kAfterId, .id = log::EventIdOf({.epoch = 1, .sequence = sequence})};
  }
};

TEST_F(HubStreamsTest, AnIdThatIsReachedWhileTheStreamIsBlockedIsNotWaitedFor) {
  Client& client = NewClient();
  client.room = 1;
  Open(&client, SelectionOf("a"), After(2));
  for (const char* const data : {"1", "2", "3"}) {
    Publish("a", data);
  }
  ASSERT_TRUE(HasTaken(3));
  MakeRoom(&client);
  ASSERT_TRUE(client.Awaits({"bridge.open", "message"}));
  EXPECT_EQ(client.events().back().data, "3");
}

TEST_F(HubStreamsTest, ALogThatBeginsAnewReleasesWhoIsOwedAndHasNoStreams) {
  constexpr size_t kAudiences = 1000;  // a slice serves fewer
  OnLoop([&] {
    for (size_t i = 0; i < kAudiences; ++i) {
      Selection selection = SelectionOf("a");
      selection.patterns.push_back(*topic::Pattern::Parse(absl::StrCat("b", i)));
      Add(&NewClient(), std::move(selection), {});
    }
    log::Entry entry = {.sequence = 1, .record = {}, .received = base::MonotonicClock::now()};
    entry.record.topic = "a";
    feed_.OnEntries(absl::MakeConstSpan(&entry, 1));
    // After the first slice.
    loop_.loop().Post([&] {
      loop_.loop().Post([&] {
        hub_->loop().AssertOnLoop();
        for (const Client& client : clients_) {
          hub_->End(*client.stream, EndReason::kClientClosed);
        }
        hub_->PostEpoch(2, 0);
      });
    });
  });
  EXPECT_TRUE(test::Eventually([&] { return hub_->metrics().pattern_bytes.value() == 0; }));
}

}  // namespace
}  // namespace bridge::hub
