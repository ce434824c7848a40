#include "bridge/config/validate_tls.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bridge/config/config.h"

namespace bridge::config {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kKey[] = "auth.jwt.keys=[{algorithm: HS256, secret_file: key}]";
constexpr char kCertificate[] = "grpc.tls.certificate_file=c";
constexpr char kKeyFile[] = "grpc.tls.key_file=k";
constexpr char kClientCa[] = "grpc.tls.client_ca_file=a";
constexpr char kClients[] = "grpc.tls.clients=[{san: a.example, publish: [a]}]";
constexpr char kOutside[] = "grpc.address=0.0.0.0:9090";

std::string ErrorOf(const std::vector<std::string>& overrides) {
  return std::string(Load({.path = std::nullopt, .overrides = overrides}).status().message());
}

TEST(ValidateTlsTest, WhatBelongsTogetherIsThereTogether) {
  EXPECT_EQ(ErrorOf({kCertificate, kKeyFile}), "");
  EXPECT_THAT(ErrorOf({kCertificate}), HasSubstr("grpc.tls.key_file: is missing"));
  EXPECT_THAT(ErrorOf({kKeyFile}), HasSubstr("grpc.tls.certificate_file: is missing"));
  EXPECT_THAT(ErrorOf({kClientCa, kClients}), HasSubstr("grpc.tls.client_ca_file: is set"));
  EXPECT_THAT(ErrorOf({kCertificate, kKeyFile, kClients}), HasSubstr("grpc.tls.client_ca_file: is missing"));
  EXPECT_EQ(ErrorOf({kCertificate, kKeyFile, kClientCa, kClients}), "");
}

TEST(ValidateTlsTest, ACertificateAloneOpensNothing) {
  EXPECT_THAT(ErrorOf({kCertificate, kKeyFile, kOutside}), HasSubstr("can be reached from outside"));
}

TEST(ValidateTlsTest, CertificatesOfClientsCountAsKeysForPublishingOnly) {
  const std::vector<std::string> tls = {kCertificate, kKeyFile, kClientCa, kClients};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = tls;
    all.insert(all.end(), more.begin(), more.end());
    return ErrorOf(all);
  };
  EXPECT_EQ(with({kOutside}), "");
  EXPECT_THAT(with({kOutside, "http.address=0.0.0.0:8080"}), HasSubstr("http.address: "));
  EXPECT_EQ(with({kOutside, "http.address=0.0.0.0:8080", "auth.allow_anonymous=true"}), "");
  EXPECT_EQ(with({"auth.anonymous.publish=[a]"}), "");
  EXPECT_EQ(with({"auth.anonymous.serve=[a]"}), "");
  EXPECT_THAT(with({"auth.anonymous.subscribe=[a]"}), HasSubstr("auth.anonymous.subscribe: is set"));
  EXPECT_THAT(with({"auth.anonymous.call=[a]"}), HasSubstr("auth.anonymous.call: is set"));
}

TEST(ValidateTlsTest, SomebodyCanPublish) {
  EXPECT_THAT(ErrorOf({kCertificate, kKeyFile, kClientCa}), HasSubstr("grpc.tls.clients: is missing"));
  EXPECT_EQ(ErrorOf({kCertificate, kKeyFile, kClientCa, kKey}), "");
  EXPECT_EQ(ErrorOf({kCertificate, kKeyFile, kClientCa, "auth.anonymous.publish=['>']"}), "");
  EXPECT_EQ(ErrorOf({kCertificate, kKeyFile, kClientCa, "auth.anonymous.serve=[chat]"}), "");
}

TEST(ValidateTlsTest, AClientHasANameAndPatterns) {
  const auto error = [](const std::string& clients) {
    return ErrorOf({kCertificate, kKeyFile, kClientCa, "grpc.tls.clients=[" + clients + "]"});
  };
  EXPECT_EQ(error("{san: 'spiffe://a/b', publish: [a]}, {san: b.example, publish: ['>']}"), "");
  EXPECT_EQ(error("{san: a.example, serve: [chat]}"), "");
  EXPECT_THAT(error("{san: a.example, serve: [a..b]}"), HasSubstr("is no pattern"));
  EXPECT_THAT(error("{publish: [a]}"), HasSubstr("grpc.tls.clients[0].san: is missing"));
  EXPECT_THAT(error("{san: a}"), HasSubstr("grpc.tls.clients[0].publish: is missing"));
  EXPECT_THAT(error("{san: a, publish: [a..b]}"), HasSubstr("is no pattern"));
  for (const std::string san : {"'*.example.com'", "'a b'", "'CN=a'"}) {
    EXPECT_THAT(error("{san: " + san + ", publish: [a]}"),
                AllOf(HasSubstr("grpc.tls.clients[0].san: "), HasSubstr("is neither a URI")))
        << san;
  }
  EXPECT_THAT(error("{san: a.example, publish: [a]}, {san: A.example, publish: [b]}"),
              HasSubstr("grpc.tls.clients[1].san: \"A.example\" stands there before"));
  EXPECT_THAT(error("{san: '" + std::string(300, 'a') + "', publish: [a]}"), HasSubstr("at most 255"));
}

}  // namespace
}  // namespace bridge::config
