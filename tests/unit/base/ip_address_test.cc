#include "bridge/base/ip_address.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace bridge::base {
namespace {

IpAddress Address(const std::string& text) { return IpAddress::Parse(text).value(); }

TEST(IpAddress, IsReadAndWritten) {
  for (const std::string text : {"192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1"}) {
    EXPECT_EQ(Address(text).ToString(), text);
  }
  EXPECT_EQ(Address("::ffff:192.0.2.1"), Address("192.0.2.1"));
  EXPECT_EQ(Address("2001:DB8:0:0::1"), Address("2001:db8::1"));
}

TEST(IpAddress, NothingElseIsOne) {
  for (const std::string text : {"", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "1.2.3.4:80", "[::1]", "fe80::1%eth0",
                                 " 1.2.3.4", "0x7f.0.0.1", "::1::", "localhost", "1.2.3.4/8"}) {
    EXPECT_FALSE(IpAddress::Parse(text).has_value()) << text;
  }
  EXPECT_FALSE(IpAddress::Parse(std::string("1.2.3.4\0", 8)).has_value());
}

TEST(IpAddress, KnowsWhichAreOnTheInternet) {
  for (const std::string text : {"192.0.2.1", "11.0.0.1", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8"}) {
    EXPECT_TRUE(Address(text).IsPublic()) << text;
  }
  for (const std::string text :
       {"127.0.0.1", "127.255.0.1", "::1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1",
        "100.64.0.1", "0.0.0.0", "::", "fd00::1", "fe80::1", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(Address(text).IsPublic()) << text;
  }
  EXPECT_TRUE(Address("127.3.2.1").IsLoopback());
  EXPECT_TRUE(Address("::ffff:127.0.0.1").IsLoopback());
  EXPECT_FALSE(Address("128.0.0.1").IsLoopback());
}

TEST(IpAddress, AClientHasANetworkOfIpv6) {
  EXPECT_EQ(Address("2001:db8:1:2:3:4:5:6").Client(), Address("2001:db8:1:2:ffff::").Client());
  EXPECT_FALSE(Address("2001:db8:1:2::").Client() == Address("2001:db8:1:3::").Client());
  EXPECT_FALSE(Address("192.0.2.1").Client() == Address("192.0.2.2").Client());
}

TEST(IpNetwork, HasTheAddressesThatBeginLikeIt) {
  struct Case {
    std::string network;
    std::vector<std::string> in;
    std::vector<std::string> out;
  };
  const std::vector<Case> cases = {
      {"10.0.0.0/8", {"10.0.0.0", "10.255.255.255"}, {"11.0.0.0", "9.255.255.255", "::a00:1"}},
      {"192.0.2.128/25", {"192.0.2.128", "192.0.2.255"}, {"192.0.2.127"}},
      {"192.0.2.1", {"192.0.2.1", "::ffff:192.0.2.1"}, {"192.0.2.2"}},
      {"0.0.0.0/0", {"1.2.3.4"}, {"2001:db8::1"}},
      {"::/0", {"1.2.3.4", "2001:db8::1"}, {}},
      {"2001:db8::/33", {"2001:db8:7fff::1"}, {"2001:db8:8000::1"}},
  };
  for (const Case& c : cases) {
    const IpNetwork network = IpNetwork::Parse(c.network).value();
    for (const std::string& text : c.in) {
      EXPECT_TRUE(network.Contains(Address(text))) << text << " in " << c.network;
    }
    for (const std::string& text : c.out) {
      EXPECT_FALSE(network.Contains(Address(text))) << text << " in " << c.network;
    }
  }
}

TEST(IpNetwork, NothingElseIsOne) {
  for (const std::string text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/ 8", "10.0.0.0/8/8",
                                 "10.0.0.1/8", "2001:db8::1/64", "::/129", "example.com"}) {
    EXPECT_FALSE(IpNetwork::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace bridge::base
