#include "bridge/http/client_address.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bridge::http {
namespace {

using Header = ClientAddresses::Header;

struct Found {
  std::string address;
  bool is_one_clients;

  friend bool operator==(const Found& a, const Found& b) {
    return a.address == b.address && a.is_one_clients == b.is_one_clients;
  }
  friend void PrintTo(const Found& found, std::ostream* out) {
    *out << found.address << (found.is_one_clients ? "" : ", shared");
  }
};

class Clients : public testing::Test {
 protected:
  // Behind proxies in 10.0.0.0/8 and at 192.0.2.1.
  static Found Find(const std::string& peer, const std::vector<std::string>& lines,
                    Header header = Header::kXForwardedFor) {
    const ClientAddresses addresses(
        {base::IpNetwork::Parse("10.0.0.0/8").value(), base::IpNetwork::Parse("192.0.2.1").value()}, header);
    RequestHead head;
    for (const std::string& line : lines) {
      head.headers.push_back({.name = header == Header::kForwarded ? "forwarded" : "X-Forwarded-For", .value = line});
    }
    const ClientAddress found = addresses.Find(base::IpAddress::Parse(peer).value(), head);
    return {found.address.ToString(), found.is_one_clients};
  }
};

TEST_F(Clients, ConnectByThemselves) {
  EXPECT_EQ(Find("198.51.100.7", {}), (Found{"198.51.100.7", true}));
  EXPECT_EQ(Find("2001:db8::7", {}), (Found{"2001:db8::7", true}));
  // A private address may be an ingress that is not named.
  EXPECT_EQ(Find("192.168.0.1", {}), (Found{"192.168.0.1", false}));
  EXPECT_EQ(Find("127.0.0.1", {}), (Found{"127.0.0.1", false}));
}

TEST_F(Clients, CannotMakeUpAnAddress) {
  EXPECT_EQ(Find("198.51.100.7", {"203.0.113.1"}), (Found{"198.51.100.7", true}));
  EXPECT_EQ(Find("192.168.0.1", {"203.0.113.1"}), (Found{"192.168.0.1", false}));
  // What was in the header before the proxy wrote its own part.
  EXPECT_EQ(Find("10.0.0.1", {"203.0.113.1, 198.51.100.7"}), (Found{"198.51.100.7", true}));
  EXPECT_EQ(Find("10.0.0.1", {"10.0.0.9, 198.51.100.7"}), (Found{"198.51.100.7", true}));
  EXPECT_EQ(Find("10.0.0.1", {"127.0.0.1", "198.51.100.7"}), (Found{"198.51.100.7", true}));
  EXPECT_EQ(Find("10.0.0.1", {"nonsense, 198.51.100.7"}), (Found{"198.51.100.7", true}));
}

TEST_F(Clients, AreFoundBehindSeveralProxies) {
  EXPECT_EQ(Find("10.0.0.1", {"198.51.100.7, 192.0.2.1, 10.2.2.2"}), (Found{"198.51.100.7", true}));
  EXPECT_EQ(Find("10.0.0.1", {"198.51.100.7", "192.0.2.1", "10.2.2.2"}), (Found{"198.51.100.7", true}));
  EXPECT_EQ(Find("10.0.0.1", {"203.0.113.1, 198.51.100.7:4711 , 10.2.2.2:80"}), (Found{"198.51.100.7", true}));
  EXPECT_EQ(Find("10.0.0.1", {"[2001:db8::7]:4711"}), (Found{"2001:db8::7", true}));
  EXPECT_EQ(Find("10.0.0.1", {"2001:db8::7"}), (Found{"2001:db8::7", true}));
  // A private one counts where a trusted proxy says it.
  EXPECT_EQ(Find("10.0.0.1", {"192.168.7.7"}), (Found{"192.168.7.7", true}));
}

TEST_F(Clients, AreNotToldApartWhereTheProxySaysNothingOfUse) {
  for (const std::vector<std::string>& lines :
       std::vector<std::vector<std::string>>{{}, {""}, {"unknown"}, {"198.51.100.7, "}, {"10.0.0.2"}}) {
    EXPECT_EQ(Find("10.0.0.1", lines), (Found{"10.0.0.1", false}));
  }
  EXPECT_EQ(Find("10.0.0.1", {"127.0.0.1"}), (Found{"127.0.0.1", false}));
}

TEST_F(Clients, AreFoundInForwarded) {
  const auto find = [](const std::string& line) { return Find("10.0.0.1", {line}, Header::kForwarded); };
  EXPECT_EQ(find("for=198.51.100.7"), (Found{"198.51.100.7", true}));
  EXPECT_EQ(find("for=203.0.113.1, For=\"198.51.100.7:99\";proto=https;by=10.0.0.1, for=10.2.2.2"),
            (Found{"198.51.100.7", true}));
  EXPECT_EQ(find("proto=https; for=\"[2001:db8::7]:4711\""), (Found{"2001:db8::7", true}));
  EXPECT_EQ(find("for=_hidden"), (Found{"10.0.0.1", false}));
  EXPECT_EQ(find("proto=https"), (Found{"10.0.0.1", false}));
}

TEST_F(Clients, AreLookedForInOneHeaderOnly) {
  const ClientAddresses addresses({base::IpNetwork::Parse("10.0.0.0/8").value()}, Header::kForwarded);
  RequestHead head;
  head.headers.push_back({.name = "X-Forwarded-For", .value = "203.0.113.1"});
  EXPECT_FALSE(addresses.Find(base::IpAddress::Parse("10.0.0.1").value(), head).is_one_clients);
}

}  // namespace
}  // namespace bridge::http
