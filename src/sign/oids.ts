/** Object identifiers of PKCS#7, X.509 and Authenticode, and the algorithms they identify. */

export const OID = {
  data: "1.2.840.113549.1.7.1",
  signedData: "1.2.840.113549.1.7.2",
  // RFC 5652 11, RFC 8551 2.5
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  signingTime: "1.2.840.113549.1.9.5",
  smimeCapabilities: "1.2.840.113549.1.9.15",
  rsaEncryption: "1.2.840.113549.1.1.1",
  sha256WithRsa: "1.2.840.113549.1.1.11",
  sha1: "1.3.14.3.2.26",
  sha256: "2.16.840.1.101.3.4.2.1",
  sha384: "2.16.840.1.101.3.4.2.2",
  sha512: "2.16.840.1.101.3.4.2.3",
  // RFC 5280 4.1.2.4 and 4.2.1
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  codeSigning: "1.3.6.1.5.5.7.3.3",
  // Windows Authenticode Portable Executable Signature Format
  spcIndirectData: "1.3.6.1.4.1.311.2.1.4",
  spcPeImageData: "1.3.6.1.4.1.311.2.1.15",
  // Authenticode's "individual code signing", a purpose of keys (SPC_INDIVIDUAL_SP_KEY_PURPOSE_OBJID).
  spcIndividualPurpose: "1.3.6.1.4.1.311.2.1.21",
  certificateTrustList: "1.3.6.1.4.1.311.10.1",
  nestedSignature: "1.3.6.1.4.1.311.2.4.1",
} as const;
