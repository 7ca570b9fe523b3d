{
 "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
 "verificationMaterial": {
  "publicKey": {
   "hint": "8ec74948fcb70e7ed01329fc76935302fd8cd6d3fab866653474aae75bf464da"
  },
  "tlogEntries": []
 },
 "dsseEnvelope": {
  "payload": "eyJfdHlwZSI6ICJodHRwczovL2luLXRvdG8uaW8vU3RhdGVtZW50L3YxIiwgInN1YmplY3QiOiBbeyJuYW1lIjogImFseC04ZDYyYTQ3My1yMDAyLWNsb3NpbmciLCAiZGlnZXN0IjogeyJzaGEyNTYiOiAiNzBiNmEwNTY4ZDkxOTI4ZDBhNWFlMDNiZGYxMGY5Mzk2ZDI5YmJkN2EyNmNjMTU3MjEzNWEzMTliZDRmNDQ3OSJ9fV0sICJwcmVkaWNhdGVUeXBlIjogImh0dHBzOi8vbW9kZWxfc2lnbmluZy9zaWduYXR1cmUvdjEuMCIsICJwcmVkaWNhdGUiOiB7InNlcmlhbGl6YXRpb24iOiB7Im1ldGhvZCI6ICJmaWxlcyIsICJoYXNoX3R5cGUiOiAic2hhMjU2IiwgImFsbG93X3N5bWxpbmtzIjogZmFsc2UsICJpZ25vcmVfcGF0aHMiOiBbInJvdW5kLnNpZyJdfSwgInJlc291cmNlcyI6IFt7Im5hbWUiOiAiY2xvc2luZy5qc29uIiwgImFsZ29yaXRobSI6ICJzaGEyNTYiLCAiZGlnZXN0IjogIjE0NTIwM2Y1ZGRhYTNmYTM2NGVlMWQ5MDJlM2MxYmM1YzhjZmVmZWMxZjAzZWRjZWU4NmNkMTQ2ZGI3NWY4YzIiLCAic2l6ZSI6IDcyM31dfX0=",
  "payloadType": "application/vnd.in-toto+json",
  "signatures": [
   {
    "keyid": "8ec74948fcb70e7ed01329fc76935302fd8cd6d3fab866653474aae75bf464da",
    "sig": "MEUCICywjkR6JB2qgbU/FudcUAlgmsCP1U8QyZkldne6ve/CAiEA8SJQVltj7DpSgAIbS3Oo+T70GzbjN8DMzJYsYJ32e5s="
   }
  ]
 }
}