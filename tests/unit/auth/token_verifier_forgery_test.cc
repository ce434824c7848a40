// What is no token, or not one that a key of the bridge has signed.
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/support/tokens.h"
#include "tests/unit/auth/verify_token.h"

#include "bridge/auth/base64url.h"
#include "bridge/auth/hmac.h"
#include "bridge/auth/jwks.h"
#include "bridge/auth/key.h"
#include "bridge/auth/openssl.h"
#include "bridge/auth/token_verifier.h"

namespace bridge::auth {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// RFC 7515, appendix A: the signatures are not of our making.
constexpr char kRfcPayload[] =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
constexpr int64_t kRfcNow = 1'300'819'379;

TEST(RfcTest, TheExampleWithHs256) {
  const std::string secret =
      *DecodeBase64Url("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow");
  const std::string token = absl::StrCat("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.", kRfcPayload,
                                         ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
  EXPECT_EQ(ErrorOf(token, {*Key::FromSecret({.kid = "", .algorithm = Algorithm::kHs256}, secret)},
                    WithIssuerAndAudience("joe", ""), kRfcNow),
            "");
}

TEST(RfcTest, TheExampleWithRs256) {
  const std::string jwk =
      R"({"keys": [{"kty": "RSA", "e": "AQAB", "n": ")"
      "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
      "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB"
      "dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia"
      "GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
      R"("}]})";
  const std::string token = absl::StrCat(
      "eyJhbGciOiJSUzI1NiJ9.", kRfcPayload,
      ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
      "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ"
      "cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
      "xi12jzDwusC-eOk"
      "HWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw");
  EXPECT_EQ(ErrorOf(token, *ParseJwks(jwk, JwksSecrets::kIgnored), {}, kRfcNow), "");
}

TEST(RfcTest, TheExampleWithEs256) {
  const std::string jwk = R"({"keys": [{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                             "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})";
  const std::string token =
      absl::StrCat("eyJhbGciOiJFUzI1NiJ9.", kRfcPayload,
                   ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  EXPECT_EQ(ErrorOf(token, *ParseJwks(jwk, JwksSecrets::kIgnored), {}, kRfcNow), "");
}

TEST(AlgorithmTest, EachVerifiesWhatItsKeySigned) {
  const test::KeyPair p256 = test::MakeEcKeyPair("P-256");
  const test::KeyPair p384 = test::MakeEcKeyPair("P-384");
  const test::KeyPair ed25519 = test::MakeEd25519KeyPair();
  const auto public_case = [](const test::KeyPair& pair, Algorithm algorithm) {
    return std::pair(*SigningKey::Parse(pair.private_pem, algorithm), PublicKey(pair, algorithm));
  };
  const auto secret_case = [](Algorithm algorithm) {
    return std::pair(test::SecretSigner(kSecret, algorithm), SecretKey(algorithm));
  };
  const std::vector<std::pair<SigningKey, Key>> cases = {
      secret_case(Algorithm::kHs256),        secret_case(Algorithm::kHs384),
      secret_case(Algorithm::kHs512),        public_case(Rsa(), Algorithm::kRs256),
      public_case(Rsa(), Algorithm::kRs384), public_case(Rsa(), Algorithm::kRs512),
      public_case(Rsa(), Algorithm::kPs256), public_case(p256, Algorithm::kEs256),
      public_case(p384, Algorithm::kEs384),  public_case(ed25519, Algorithm::kEdDsa)};
  for (const auto& [signer, key] : cases) {
    const std::string token = test::SignToken(R"({"exp": 1800000060})", signer);
    EXPECT_EQ(ErrorOf(token, {key}), "") << NameOf(signer.algorithm());
    const size_t dot = token.rfind('.');
    const std::string signature = *DecodeBase64Url(token.substr(dot + 1));
    for (const size_t at : {size_t{0}, signature.size() / 2, signature.size() - 1}) {
      std::string wrong = signature;
      wrong[at] = static_cast<char>(wrong[at] ^ 1);
      EXPECT_EQ(ErrorOf(absl::StrCat(token.substr(0, dot + 1), EncodeBase64Url(wrong)), {key}),
                "the token's signature is wrong")
          << NameOf(signer.algorithm()) << " at " << at;
    }
    for (const std::string& wrong : {std::string(), signature.substr(1), signature + '\0', signature + signature}) {
      EXPECT_EQ(ErrorOf(absl::StrCat(token.substr(0, dot + 1), EncodeBase64Url(wrong)), {key}),
                "the token's signature is wrong")
          << NameOf(signer.algorithm());
    }
    for (const auto& [other, other_key] : cases) {
      if (other.algorithm() != signer.algorithm()) {
        EXPECT_THAT(ErrorOf(token, {other_key}), HasSubstr("no key for")) << NameOf(other.algorithm());
      }
    }
  }
}

// It is salted, so that one of 256 begins with a zero.
TEST(AlgorithmTest, ASignatureWithoutItsLeadingZeroIsNone) {
  const SigningKey signer = *SigningKey::Parse(Rsa().private_pem, Algorithm::kPs256);
  for (int i = 0; i < 10'000; ++i) {
    const std::string token = test::SignToken(R"({"exp": 1800000060})", signer);
    const size_t dot = token.rfind('.');
    const std::string signature = *DecodeBase64Url(token.substr(dot + 1));
    if (signature[0] == '\0') {
      EXPECT_EQ(ErrorOf(absl::StrCat(token.substr(0, dot + 1), EncodeBase64Url(signature.substr(1))),
                        {PublicKey(Rsa(), Algorithm::kPs256)}),
                "the token's signature is wrong");
      return;
    }
  }
  FAIL() << "no signature began with a zero";
}

TEST(AlgorithmTest, AnEcSignatureInDerIsNone) {
  const test::KeyPair p256 = test::MakeEcKeyPair("P-256");
  const std::string token = test::SignToken(R"({"exp": 1800000060})", p256.Signer());
  const size_t dot = token.rfind('.');
  const std::string raw = *DecodeBase64Url(token.substr(dot + 1));
  const EcdsaSigPtr signature(ECDSA_SIG_new());
  const auto* const bytes = reinterpret_cast<const unsigned char*>(raw.data());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(bytes, 32, nullptr), BN_bin2bn(bytes + 32, 32, nullptr));
  unsigned char* der = nullptr;
  const int der_bytes = i2d_ECDSA_SIG(signature.get(), &der);
  const std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(der_bytes));
  OPENSSL_free(der);
  EXPECT_EQ(ErrorOf(absl::StrCat(token.substr(0, dot + 1), EncodeBase64Url(text)), {PublicKey(p256)}),
            "the token's signature is wrong");
}

TEST(AlgorithmTest, NoneIsNone) {
  for (const char* const header :
       {R"({"alg": "none"})", R"({"alg": "None"})", R"({"alg": ""})", R"({"alg": null})", R"({"alg": ["HS256"]})",
        R"({"alg": "hs256"})", R"({"alg": "HS1"})", R"({"typ": "JWT"})"}) {
    const std::string text = absl::StrCat(EncodeBase64Url(header), ".", EncodeBase64Url(R"({"exp": 1800000060})"), ".");
    EXPECT_THAT(ErrorOf(text, {SecretKey()}), HasSubstr("the token's alg is none of HS256")) << header;
    EXPECT_THAT(ErrorOfHeader(header), HasSubstr("the token's alg is none of HS256")) << header;
  }
}

TEST(AlgorithmTest, APublicKeyIsNoSecret) {
  // The attack: everybody has the public key, and may sign with its text as if it were a secret.
  const std::string text =
      absl::StrCat(EncodeBase64Url(R"({"alg": "HS256"})"), ".", EncodeBase64Url(R"({"exp": 1800000060})"));
  const std::string token =
      absl::StrCat(text, ".", EncodeBase64Url(Hmac(Algorithm::kHs256, Rsa().public_pem).Of(text)));
  EXPECT_EQ(ErrorOf(token, {PublicKey(Rsa())}), "no key for HS256 is known");
  EXPECT_EQ(ErrorOf(token, {PublicKey(Rsa(), Algorithm::kRs256)}), "no key for HS256 is known");
}

TEST(AlgorithmTest, TheConfiguredOnesAloneAreAccepted) {
  const std::string token = HsToken(R"({"exp": 1800000060})");
  EXPECT_EQ(ErrorOf(token, {SecretKey()}, WithAlgorithms({Algorithm::kHs256})), "");
  EXPECT_EQ(ErrorOf(token, {SecretKey()}, WithAlgorithms({Algorithm::kRs256})),
            "tokens signed with HS256 are not accepted");
}

TEST(HeaderTest, CritIsRefused) {
  EXPECT_THAT(ErrorOfHeader(R"({"alg": "HS256", "crit": ["b64"], "b64": false})"), HasSubstr("crit"));
  EXPECT_THAT(ErrorOfHeader(R"({"alg": "HS256", "crit": []})"), HasSubstr("crit"));
}

TEST(HeaderTest, AMemberStandsOnce) {
  EXPECT_THAT(ErrorOfHeader(R"({"alg": "HS256", "alg": "HS256"})"), HasSubstr("a member twice"));
  EXPECT_THAT(ErrorOfHeader(R"({"alg": "none", "alg": "HS256"})"), HasSubstr("a member twice"));
}

TEST(HeaderTest, TypIsOfAToken) {
  for (const char* const type : {"JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"}) {
    EXPECT_EQ(ErrorOfHeader(absl::StrCat(R"({"alg": "HS256", "typ": ")", type, R"("})")), "") << type;
  }
  for (const char* const type : {R"("logout+jwt")", R"("JOSE")", R"("application/application/jwt")",
                                 R"("bridge-ticket+jwt")", R"("")", R"("id_token")", "1", "null"}) {
    EXPECT_THAT(ErrorOfHeader(absl::StrCat(R"({"alg": "HS256", "typ": )", type, "}")), HasSubstr("the token's typ is"))
        << type;
  }
}

TEST(HeaderTest, KeysThatATokenBringsAreNotLookedAt) {
  const test::KeyPair stranger = test::MakeRsaKeyPair();
  const std::vector<std::string> members = {
      absl::StrCat(R"("jwk": )", test::ToJwk(stranger)),
      absl::StrCat(R"("x5c": [")", absl::StrJoin(absl::StrSplit(stranger.public_pem, '\n'), ""), R"("])"),
      R"("jku": "http://127.0.0.1:9/keys")", R"("x5u": "http://127.0.0.1:9/certificate")"};
  for (const std::string& member : members) {
    const std::string header = absl::StrCat(R"({"alg": "RS256", )", member, "}");
    EXPECT_EQ(ErrorOf(test::SignToken(header, R"({"exp": 1800000060})", stranger.Signer()), {PublicKey(Rsa())}),
              "the token's signature is wrong")
        << header;
    EXPECT_EQ(ErrorOf(test::SignToken(header, R"({"exp": 1800000060})", Rsa().Signer()), {PublicKey(Rsa())}), "");
  }
}

TEST(FormTest, ATokenIsThreePartsOfBase64Url) {
  const std::string token = HsToken(R"({"exp": 1800000060})");
  const std::vector<std::string> parts = absl::StrSplit(token, '.');
  const auto joined = [](const std::vector<std::string>& some) { return absl::StrJoin(some, "."); };
  EXPECT_THAT(ErrorOf("", {SecretKey()}), HasSubstr("the token has 1 parts"));
  EXPECT_THAT(ErrorOf(joined({parts[0], parts[1]}), {SecretKey()}), HasSubstr("the token has 2 parts"));
  EXPECT_THAT(ErrorOf(token + ".a.b", {SecretKey()}), HasSubstr("the token has 5 parts"));
  for (const char* const suffix : {"=", "==", "A", " ", "\n", "+", "/", "\xFF"}) {
    EXPECT_THAT(ErrorOf(token + suffix, {SecretKey()}), AllOf(HasSubstr("token"), Not(HasSubstr("expired")))) << suffix;
    EXPECT_NE(ErrorOf(joined({parts[0] + suffix, parts[1], parts[2]}), {SecretKey()}), "") << suffix;
    EXPECT_NE(ErrorOf(joined({parts[0], parts[1] + suffix, parts[2]}), {SecretKey()}), "") << suffix;
  }
  // The last character of 32 bytes in base64url has two bits that stand for nothing.
  std::string twin = token;
  twin.back() = twin.back() == 'A' ? 'B' : static_cast<char>(twin.back() + 1);
  EXPECT_NE(ErrorOf(twin, {SecretKey()}), "");
}

TEST(FormTest, HeaderAndPayloadAreObjects) {
  for (const char* const text : {"", "[]", "1", "null", "\"a\"", "{", R"({"alg": "HS256"}})", "{\"alg\": \"\xFF\"}"}) {
    EXPECT_NE(ErrorOfHeader(text), "") << text;
    EXPECT_THAT(ErrorOfPayload(text), HasSubstr("the token's payload is no JSON object")) << text;
  }
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "exp": 1900000000})"), HasSubstr("a member twice"));
  EXPECT_THAT(ErrorOfPayload(R"({"exp": 1800000060, "a": {"b": 1, "b": 2}})"), HasSubstr("a member twice"));
}

TEST(FormTest, DepthAndLengthAreBounded) {
  const auto nested = [](size_t levels) {
    return absl::StrCat(R"({"exp": 1800000060, "a": )", std::string(levels, '['), std::string(levels, ']'), "}");
  };
  EXPECT_EQ(ErrorOfPayload(nested(15)), "");
  EXPECT_THAT(ErrorOfPayload(nested(16)), HasSubstr("too deep"));
  EXPECT_THAT(ErrorOfPayload(nested(200)), HasSubstr("too deep"));
  EXPECT_THAT(ErrorOfPayload(nested(2000)), HasSubstr("too deep"));
  const std::string fill(5900, 'x');
  EXPECT_EQ(ErrorOfPayload(absl::StrCat(R"({"exp": 1800000060, "a": ")", fill, R"("})")), "");
  EXPECT_THAT(ErrorOfPayload(absl::StrCat(R"({"exp": 1800000060, "a": ")", fill, fill, R"("})")),
              HasSubstr("at most 8192 are accepted"));
}

TEST(FormTest, AHeaderThatTakesLongToParseIsNotParsed) {
  const auto header = [](size_t bytes) {
    return absl::StrCat(R"({"alg": "HS256", "a": ")", std::string(bytes, 'x'), R"("})");
  };
  EXPECT_EQ(ErrorOfHeader(header(2000)), "");
  EXPECT_THAT(ErrorOfHeader(header(2048)), HasSubstr("at most 2048 are accepted"));
  // Brackets that are none, and brackets that seem to be none.
  EXPECT_EQ(ErrorOfHeader(R"({"alg": "HS256", "a": "[[[[[[[[[[[[[[[[[[[[[[\\\"[[["})"), "");
  EXPECT_THAT(ErrorOfHeader(R"({"alg": "HS256", 'a"': [[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]})"),
              HasSubstr("too deep"));
}

}  // namespace
}  // namespace bridge::auth
