// iam-lens about every principal of an account: prints its answers as JSON.
//   node contender.mjs prepare|ask ACCOUNT_FOLDER STORE_FOLDER
// `prepare` writes the store that iam-collect would have written; only `ask` is measured.
import { readFileSync } from 'node:fs'

const packages = `${process.env.PEERS}/node_modules/@cloud-copilot`
const [what, folder, path] = process.argv.slice(2)
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}.json`))
const configs = [{ iamCollectVersion: '0.0.0', storage: { type: 'file', path } }]

async function prepare() {
  const { createStorageClient } = await import(`${packages}/iam-collect/dist/esm/index.js`)
  const { IamCollectClient } = await import(`${packages}/iam-lens/dist/esm/collect/client.js`)
  const { makePrincipalIndex } = await import(
    `${packages}/iam-lens/dist/esm/principalIndex/makePrincipalIndex.js`
  )
  const store = createStorageClient(configs, 'aws', true)
  const account = read('gaad')
  const org = read('org')
  const save = async (owner, arn, kinds) => {
    for (const [kind, data] of Object.entries(kinds))
      await store.saveResourceMetadata(owner, arn, kind, data)
  }
  const attached = (each) => each.AttachedManagedPolicies.map((policy) => policy.PolicyArn)
  const tags = (each) => Object.fromEntries((each.Tags ?? []).map((tag) => [tag.Key, tag.Value]))
  const metadata = (each, id, name) => ({
    arn: each.Arn,
    path: each.Path,
    permissionBoundary: each.PermissionsBoundary?.PermissionsBoundaryArn,
    id,
    name,
    created: each.CreateDate
  })
  const groups = {}
  for (const each of account.GroupDetailList) {
    groups[each.GroupName] = each.Arn
    await save(org.account, each.Arn, {
      'inline-policies': each.GroupPolicyList,
      'managed-policies': attached(each),
      metadata: metadata(each, each.GroupId, each.GroupName)
    })
  }
  for (const each of account.Policies)
    await save(org.account, each.Arn, {
      metadata: { ...metadata(each, each.PolicyId, each.PolicyName), defaultVersionId: 'v1' },
      'current-policy': each.PolicyVersionList.find((version) => version.IsDefaultVersion).Document
    })
  for (const each of account.UserDetailList)
    await save(org.account, each.Arn, {
      'managed-policies': attached(each),
      'inline-policies': each.UserPolicyList,
      groups: each.GroupList.map((name) => groups[name]),
      tags: tags(each),
      metadata: metadata(each, each.UserId, each.UserName)
    })
  for (const each of account.RoleDetailList)
    await save(org.account, each.Arn, {
      'managed-policies': attached(each),
      'inline-policies': each.RolePolicyList,
      'trust-policy': each.AssumeRolePolicyDocument,
      tags: tags(each),
      metadata: metadata(each, each.RoleId, each.RoleName)
    })
  const [root, unit, own] = org.levels
  const names = (level) => level.policies.map((policy) => policy.Arn)
  await store.saveOrganizationMetadata(org.org, 'metadata', {
    id: org.org,
    arn: `arn:aws:organizations::${org.management}:organization/${org.org}`,
    rootOu: root.id,
    rootAccountArn: `arn:aws:organizations::${org.management}:account/${org.org}/${org.management}`,
    rootAccountId: org.management,
    features: { SERVICE_CONTROL_POLICY: true }
  })
  const inUnit = { ou: unit.id, scps: names(own), rcps: [] }
  await store.saveOrganizationMetadata(org.org, 'accounts', { [org.account]: inUnit })
  await store.saveOrganizationMetadata(org.org, 'ous', {
    [root.id]: { scps: names(root), rcps: [] },
    [unit.id]: { parent: root.id, scps: names(unit), rcps: [] }
  })
  for (const level of org.levels)
    for (const { Id, Arn: arn, Name: name, Content } of level.policies) {
      await store.saveOrganizationPolicyMetadata(org.org, 'scps', Id, 'metadata', { arn, name })
      await store.saveOrganizationPolicyMetadata(org.org, 'scps', Id, 'policy', Content)
    }
  for (const [name, data] of [['accounts-to-orgs', { [org.account]: org.org }]])
    await store.saveIndex(name, data, (await store.getIndex(name, {})).lockId)
  await makePrincipalIndex(new IamCollectClient(store))
}

async function ask() {
  const { whoCan } = await import(`${packages}/iam-lens/dist/esm/index.js`)
  const { action, resource } = read('expected')
  const answer = await whoCan(configs, 'aws', { actions: [action], resource, workerThreads: 0 })
  const answers = {}
  for (const each of answer.allowed)
    answers[each.principal] =
      each.conditions || each.dependsOnSessionName ? 'depends' : 'yes'
  console.log(JSON.stringify(answers))
}

await (what === 'prepare' ? prepare() : ask())
