#include "bridge/auth/certificate_files.h"

#include <ctime>
#include <utility>

#include <openssl/pem.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "bridge/base/annotated.h"
#include "bridge/base/status_macros.h"

namespace bridge::auth {
namespace {

// A bundle of all authorities that a system trusts has some 200 KiB.
constexpr size_t kFileBytesMax = size_t{1} << 20;

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts = {};
  return time != nullptr && ASN1_TIME_to_tm(time, &parts) == 1 ? absl::FromTM(parts, absl::UTCTimeZone())
                                                               : absl::InfinitePast();
}

BioPtr Reading(absl::string_view bytes) {
  return BioPtr(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

absl::StatusOr<std::vector<X509Ptr>> ParseCertificates(absl::string_view pem) {
  const OpensslErrorScope errors;
  const BioPtr bio = Reading(pem);
  std::vector<X509Ptr> certificates;
  while (X509Ptr certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    certificates.push_back(std::move(certificate));
  }
  // The end of a file is an error too: of no further line that begins something.
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
    return absl::InvalidArgumentError(absl::StrCat("its certificate ", certificates.size() + 1, " is damaged"));
  }
  if (certificates.empty()) {
    return absl::InvalidArgumentError("has no certificate in PEM: -----BEGIN CERTIFICATE----- is expected");
  }
  return certificates;
}

// Instead of asking for a passphrase at the terminal.
int RefusePassphrase(char* /*buffer*/, int /*bytes*/, int /*is_written*/, void* was_asked) {
  *static_cast<bool*>(was_asked) = true;
  return -1;
}

absl::StatusOr<EvpPkeyPtr> ParseKey(absl::string_view pem) {
  const OpensslErrorScope errors;
  const BioPtr bio = Reading(pem);
  bool was_asked = false;
  EvpPkeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, RefusePassphrase, &was_asked));
  if (was_asked) {
    return absl::InvalidArgumentError("is encrypted, and nobody is there to type its passphrase: store it without one");
  }
  if (key == nullptr) {
    return absl::InvalidArgumentError("has no private key in PEM: -----BEGIN PRIVATE KEY----- is expected");
  }
  return key;
}

absl::Status About(const std::string& name, const std::string& path, const absl::Status& status) {
  return base::Annotated(status, absl::StrCat(name, ": ", path, ": "));
}

}  // namespace

CertificateFiles::CertificateFiles(const Options& options)
    : certificate_{.name = absl::StrCat(options.section, ".certificate_file"),
                   .file = WatchedFile(options.certificate_file, kFileBytesMax),
                   .bytes = ""},
      key_{.name = absl::StrCat(options.section, ".key_file"),
           .file = WatchedFile(options.key_file, kFileBytesMax),
           .bytes = ""} {
  if (!options.client_ca_file.empty()) {
    client_ca_.emplace(Part{.name = absl::StrCat(options.section, ".client_ca_file"),
                            .file = WatchedFile(options.client_ca_file, kFileBytesMax),
                            .bytes = ""});
  }
}

absl::StatusOr<bool> CertificateFiles::Read(Part* part) {
  absl::StatusOr<std::optional<std::string>> bytes = part->file.ReadIfChanged();
  if (!bytes.ok()) {
    return base::Annotated(bytes.status(), absl::StrCat(part->name, ": "));
  }
  std::optional<std::string> changed = *std::move(bytes);
  if (!changed.has_value()) {
    return false;
  }
  part->bytes = *std::move(changed);
  return true;
}

absl::StatusOr<std::optional<Certificate>> CertificateFiles::ReadIfChanged() {
  bool has_changed = false;
  absl::Status first_error;
  for (Part* part : {&certificate_, &key_, client_ca_ ? &*client_ca_ : nullptr}) {
    if (part == nullptr) {
      continue;
    }
    const absl::StatusOr<bool> is_new = Read(part);
    first_error.Update(is_new.status());
    has_changed = has_changed || is_new.value_or(false);
  }
  RETURN_IF_ERROR(first_error);
  if (!has_changed) {
    return std::nullopt;
  }
  return Parse();
}

absl::StatusOr<Certificate> CertificateFiles::Parse() const {
  Certificate parsed;
  auto chain = ParseCertificates(certificate_.bytes);
  if (!chain.ok()) {
    return About(certificate_.name, certificate_.file.path(), chain.status());
  }
  parsed.chain = *std::move(chain);
  auto key = ParseKey(key_.bytes);
  if (!key.ok()) {
    return About(key_.name, key_.file.path(), key.status());
  }
  parsed.key = *std::move(key);
  const OpensslErrorScope errors;
  for (size_t i = 0; X509_check_private_key(parsed.chain[i].get(), parsed.key.get()) != 1;) {
    if (++i == parsed.chain.size()) {
      return absl::InvalidArgumentError(absl::StrCat(key_.name, ": ", key_.file.path(), ": is not the key of the ",
                                                     "certificate in ", certificate_.file.path(),
                                                     ": each certificate goes with the key that it was made for"));
    }
  }
  if (X509_check_private_key(parsed.chain.front().get(), parsed.key.get()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(certificate_.name, ": ", certificate_.file.path(),
                                                   ": begins with another certificate than that of ", key_.file.path(),
                                                   ": its own stands first, then its issuers'"));
  }
  if (client_ca_) {
    auto roots = ParseCertificates(client_ca_->bytes);
    if (!roots.ok()) {
      return About(client_ca_->name, client_ca_->file.path(), roots.status());
    }
    parsed.client_roots = *std::move(roots);
  }
  parsed.chain_pem = certificate_.bytes;
  parsed.key_pem = key_.bytes;
  parsed.client_roots_pem = client_ca_ ? client_ca_->bytes : "";
  parsed.valid_from = TimeOf(X509_get0_notBefore(parsed.chain.front().get()));
  parsed.valid_until = TimeOf(X509_get0_notAfter(parsed.chain.front().get()));
  return parsed;
}

}  // namespace bridge::auth
