#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/proto_comments.h"
#include "tests/support/proto_reference.h"
#include "tests/support/reference_page.h"

namespace bridge::test {
namespace {

using ::testing::HasSubstr;

// Needs BRIDGE_SOURCE_DIR and BRIDGE_PUBLISHER_DESCRIPTORS (publisher.proto with its comments) in its environment.
class ProtoReferenceTest : public ::testing::Test {
 protected:
  const std::string reference_ = ProtoReference(DescriptorsNamedBy("BRIDGE_PUBLISHER_DESCRIPTORS"));
};

TEST_F(ProtoReferenceTest, ThePageIsUpToDate) { ExpectPageIs("grpc.md", reference_, "scripts/proto-reference"); }

TEST_F(ProtoReferenceTest, SaysWhatAFieldIs) {
  EXPECT_THAT(reference_, HasSubstr("| `events` | repeated [Event](#event) | 2 | 1 to grpc.max_events_per_request"));
  EXPECT_THAT(reference_, HasSubstr("| – `json` | `google.protobuf.Value` | 5 | Sent as compact JSON."));
  EXPECT_THAT(reference_, HasSubstr("Takes a stream of [PublishRequest](#publishrequest), answers a stream of "
                                    "[PublishResponse](#publishresponse)."));
}

TEST(ProtoCommentsTest, ParagraphsStayAndMarkdownsSignsAreEscaped) {
  EXPECT_EQ(InParagraphs(" One <b>,\n two * three.\n\n Four.\n"), "One &lt;b>,\ntwo \\* three.\n\nFour.");
  EXPECT_EQ(InCell(" One,\n two | three.\n\n Four.\n"), "One, two \\| three.<br>Four.");
}

TEST(ProtoCommentsTest, IndentedLinesStandAsTheyAre) {
  EXPECT_EQ(InParagraphs(" What ends it:\n   OK     a *\n          b\n After.\n"),
            "What ends it:\n\n```text\nOK     a *\n       b\n```\n\nAfter.");
}

}  // namespace
}  // namespace bridge::test
