#!/usr/bin/env bash
# Shows the hub at work with the real programs, and checks each step; ends with 0 only if every one is so.
# Everything happens in a temporary directory and on loopback; nothing stays running and no file stays behind.
#   PROFILE=release demo/run.sh      builds with optimisation; else with the profile that the tests use
#   XINHUB_BIN_DIR=DIR demo/run.sh   builds nothing, and takes the programs from DIR
set -Eeuo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rows_per_court=5000
start_seconds=60 # more than any start here takes, on any machine
step="getting ready"
hub_pid=""
watch_pid=""
dir=""

fail() {
    printf '\ndemo FAILED at: %s\n  %s\n' "$step" "$*" >&2
    exit 1
}

end() {
    local code=$?
    trap - EXIT INT TERM HUP
    if [[ -n $watch_pid ]]; then
        kill -KILL "$watch_pid" 2>/dev/null || true
    fi
    if [[ -n $hub_pid ]]; then
        kill -KILL "$hub_pid" 2>/dev/null || true
        wait "$hub_pid" 2>/dev/null || true
    fi
    if [[ $code -ne 0 && -s $dir/hub.log ]]; then
        echo "the hub's last lines:" >&2
        tail -n 5 "$dir/hub.log" >&2
    fi
    if [[ -n $dir ]]; then rm -rf "$dir"; fi
    exit "$code"
}
trap end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'fail "line $LINENO: a command failed"' ERR

# --- what the steps are made of ---------------------------------------------------------------------------------------

# begin EN ZH: a step, named in both languages.
begin() {
    step=$1
    printf '\n== %s\n== %s\n' "$1" "$2"
}

# run CODE COMMAND...: shows a command and what it prints, and wants this exit code. Reads no input.
run() {
    local want=$1 code=0
    shift
    printf '$ %s\n' "$*"
    "$@" </dev/null >"$dir/out" 2>"$dir/err" || code=$?
    sed 's/^/  /' "$dir/out" "$dir/err"
    [[ $code -eq $want ]] || fail "exit code $code, expected $want: $*"
}

# ask CODE FILE "NEEDLE..." ARGUMENTS...: a check whose identity comes from FILE. Asked twice: for JSON, in which each
# NEEDLE has to stand (one that begins with ! must not), and for eyes. Both times with this exit code.
ask() {
    local want=$1 identity=$2 needles=$3 code=0
    shift 3
    xinhub check --output json "$@" --identity-file "$identity" >"$dir/json" 2>&1 </dev/null || code=$?
    [[ $code -eq $want ]] || fail "exit code $code, expected $want: $(cat "$dir/json")"
    expect "$dir/json" "$needles"
    run "$want" xinhub check "$@" --identity-file "$identity"
}

# expect FILE "NEEDLE...": see ask.
expect() {
    local file=$1 needle
    for needle in $2; do
        case $needle in
        !*) ! grep -qF -- "${needle#!}" "$file" || fail "answer holds ${needle#!}: $(cat "$file")" ;;
        *) grep -qF -- "$needle" "$file" || fail "answer lacks $needle: $(cat "$file")" ;;
        esac
    done
}

# number FIELD FILE: a number out of JSON.
number() {
    sed -n "s/.*\"$1\":\[\{0,1\}\([0-9][0-9]*\).*/\1/p" "$2" | head -n 1
}

# In the demo's directory, so that the commands shown have short paths.
xinhub() { (cd "$dir" && exec "$bin/xinhub" "$@"); }
xinhubd() { (cd "$dir" && exec "$bin/xinhubd" "$@"); }

start_hub() {
    local begins deadline=$((SECONDS + start_seconds))
    begins=$(($(wc -l <"$dir/hub.log") + 1))
    "$bin/xinhubd" serve --config "$dir/hub.toml" </dev/null >/dev/null 2>>"$dir/hub.log" &
    hub_pid=$!
    address=""
    while [[ -z $address ]]; do
        kill -0 "$hub_pid" 2>/dev/null || fail "the hub ended while starting"
        ((SECONDS < deadline)) || fail "the hub does not serve after $start_seconds s"
        sleep 0.05
        address=$(tail -n "+$begins" "$dir/hub.log" | sed -n 's/.*"message":"listening","listen":"\([^"]*\)".*/\1/p')
    done
    echo "  the hub serves on $address, process $hub_pid"
}

# Details (names, contents) are kept apart from what decides an answer, and may follow some moments later.
wait_for_details() {
    local deadline=$((SECONDS + start_seconds))
    until xinhub status --context ops --output json >"$dir/json" &&
        [[ $(number detail_revision "$dir/json") -ge $(number revision "$dir/json") ]]; do
        ((SECONDS < deadline)) || fail "details do not catch up"
        sleep 0.1
    done
}

# pick KIND EXPECTED PLACE FILE: number and name (two lines) of the PLACE-th identity of this kind that one row alone has.
pick() {
    awk -F, -v kind="$1" -v expected="$2" -v place="$3" '
        NR == FNR { seen[$2]++; next }
        $1 == kind && $4 == expected && seen[$2] == 1 && ++found == place { print $2; print $3; exit }' "$4" "$4"
}

# --- programs, certificates, hub --------------------------------------------------------------------------------------

cd "$root"
if [[ -n ${XINHUB_BIN_DIR:-} ]]; then
    bin=$(cd "$XINHUB_BIN_DIR" && pwd)
else
    profile=${PROFILE:-dev}
    echo "building xinhubd and xinhub, profile $profile / 构建程序"
    cargo build --profile "$profile" -p xinhub-server -p xinhub-cli --bins
    target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    bin=$target/${profile/#dev/debug}
fi
[[ -x $bin/xinhub && -x $bin/xinhubd ]] || fail "no programs in $bin"

umask 077
dir=$(mktemp -d "${TMPDIR:-/tmp}/xinhub-demo.XXXXXX")
export XINHUB_CONFIG=$dir/contexts.toml
began=$SECONDS

begin "Certificates: a demo CA, the hub, two courts, a bank, a hotel, a procurement platform, an operator" \
    "证书：演示CA、枢纽、两家法院、银行、酒店、采购平台、运维"
XINHUB=$bin/xinhub certs-example/make.sh "$dir/pki" | sed "s#$dir/#  #"

begin "A new hub: keys and an empty ledger, then serve" "新建枢纽：密钥与空账本，然后启动"
cp demo/policy.toml "$dir/policy.toml"
sed 's/@LISTEN@/127.0.0.1:0/' demo/hub.toml.in >"$dir/hub.toml"
"$bin/xinhubd" init --config "$dir/hub.toml" | sed "s#$dir/##; s/^/  /"
: >"$dir/hub.log"
start_hub
# From now on at this address, so that clients find the hub again after a restart.
sed "s/@LISTEN@/$address/" demo/hub.toml.in >"$dir/hub.toml"
for who in leizhou:court-leizhou xuwen:court-xuwen bank:bank-demo hotel:hotel-demo procurement:procurement-demo \
    ops:ops-demo; do
    xinhub context set "${who%%:*}" --endpoint "https://$address" --ca pki/ca.pem \
        --cert "pki/${who#*:}.pem" --key "pki/${who#*:}.key" --actor "${who%%:*}-01" --post clerk
done

# --- ten thousand listings --------------------------------------------------------------------------------------------

begin "Synthetic rows in the courts' own layout: $rows_per_court each, GB 18030 and UTF-8, with relations" \
    "合成名单：两家法院各${rows_per_court}行，分别为GB 18030与UTF-8编码，附关联人员"
run 0 xinhub synthesize --rows $rows_per_court --seed 1 --court leizhou --court-name 广东省雷州市人民法院 \
    --court-code 粤0882 --encoding gb18030 --out leizhou.csv --relations leizhou-relations.csv --answers leizhou-answers.csv
run 0 xinhub synthesize --rows $rows_per_court --seed 2 --court xuwen --court-name 广东省徐闻县人民法院 \
    --court-code 粤0825 --encoding utf-8 --bom --out xuwen.csv --relations xuwen-relations.csv --answers xuwen-answers.csv

begin "Each court sends its own file; nobody is listed before a second person, an authorised signer, has released it" \
    "各法院报送本院名单；须经另一名签发人批准后方可列入"
# approve COURT SIGNER: releases the file that the last import left waiting.
approve() {
    local waiting
    waiting=$(number import "$dir/out")
    run 0 xinhub imports approve --context "$1" --output json --actor "$2" --post president --yes "$waiting"
    expect "$dir/out" '"faults":0,'
}
for who in leizhou:president-01 xuwen:president-02; do
    court=${who%%:*} signer=${who#*:}
    run 0 xinhub import --context $court --output json $court.csv
    expect "$dir/out" "\"rows\":$rows_per_court, \"added\":$rows_per_court, \"faults\":0, \"state\":\"STAGED\""
    # Who has sent it is no second person.
    run 27 xinhub imports approve --context $court --output json --yes "$(number import "$dir/out")"
    run 0 xinhub imports list --context $court --output json
    approve $court $signer
    expect "$dir/out" "\"added\":$rows_per_court,"
    run 0 xinhub import --context $court --output json --relations $court-relations.csv
    approve $court $signer
    [[ $(number added "$dir/out") -gt 0 ]] || fail "no relation was taken"
done
run 0 xinhub status --context ops --output json
expect "$dir/out" "\"listings\":$((2 * rows_per_court)),"
wait_for_details

# Whom the rest is about. Numbers go by file: on a command line others could read them.
{ cat "$dir/leizhou-answers.csv"; tail -n +2 "$dir/xuwen-answers.csv"; } >"$dir/answers.csv"
pick resident_id debtor 1 "$dir/answers.csv" >"$dir/borrower"
pick resident_id debtor 2 "$dir/answers.csv" | head -n 1 >"$dir/guest"
pick resident_id legal_representative 1 "$dir/answers.csv" | head -n 1 >"$dir/representative"
pick resident_id none 1 "$dir/answers.csv" | head -n 1 >"$dir/unlisted"
pick uscc debtor 1 "$dir/answers.csv" >"$dir/supplier"
pick resident_id none 2 "$dir/answers.csv" >"$dir/other"
echo 91110101000000019Y >"$dir/company" # synthetic, and on no list
{ printf 'director:resident_id:' && cat "$dir/guest"; } >"$dir/officers"
for file in borrower guest representative unlisted supplier other; do [[ -s $dir/$file ]] || fail "no identity for: $file"; done

today=$(TZ=Asia/Shanghai date +%F)

# --- questions --------------------------------------------------------------------------------------------------------

lending=(--context bank --measure credit.lending)
hotel=(--context hotel --lang zh --measure consumption.hotel)
listed='"verdict":"CONSIDER" "reason":"LISTED_DEBTOR" "effect":"STRICT_REVIEW"'
one_bit='"verdict":"RESTRICTED" "reason":"COURT_ORDER" "effect":null "relation":null "slip":{ "listings":[] !debtor'

begin "A bank asks before a loan. CONSIDER: a person decides, the list is one fact among others" \
    "银行授信前查询。CONSIDER：由人判断，名单只是依据之一"
ask 11 borrower "$listed \"relation\":\"debtor\"" "${lending[@]}" --kind resident_id --reference loan-0001
listing=$(number listings "$dir/json")
[[ -n $listing ]] || fail "the bank has the field detail, and got no listing's number"

begin "The bank reports what it did with the answer" "银行报告所采取的措施"
run 0 xinhub measure --context bank --output json imposed "$listing" --measure credit.lending --on "$today"
expect "$dir/out" '"duty_state":"NONE"'

begin "A bank asks about somebody who is on no list" "银行查询不在名单上的人"
ask 0 unlisted '"verdict":"CLEAR" "reason":"NOT_LISTED"' "${lending[@]}" --kind resident_id

begin "A hotel asks for a star-rated room: one bit, and a slip for the guest" "酒店办理星级客房：只得一个结论和一张告知单"
ask 10 guest "$one_bit" "${hotel[@]}" --item star_rated --kind resident_id

begin "A hotel asks for a purpose that it wasn't granted: refused" "酒店以未获授权的用途查询：拒绝"
ask 27 guest '"code":"PERMISSION_DENIED" "reason":"MEASURE_NOT_GRANTED"' --context hotel --measure credit.lending \
    --kind resident_id

begin "An item outside the measure: CLEAR, and the list isn't even looked at" "措施之外的项目：CLEAR，不查名单"
ask 0 guest '"verdict":"CLEAR" "reason":"OUT_OF_SCOPE"' "${hotel[@]}" --item budget_room --kind resident_id

begin "A company wants a loan; one of its directors is listed, the company isn't: the bank is told, and decides" \
    "企业申请贷款，董事列入名单而企业未列入：告知银行，由人判断"
ask 11 company '"verdict":"CONSIDER" "reason":"OFFICER_LISTED" "effect":"INFORM" "officers_listed":1' "${lending[@]}" \
    --kind uscc --officers-file officers

begin "A listed company's legal representative at the hotel: restricted, though not listed" \
    "失信企业的法定代表人入住星级酒店：受限，但本人并未列入名单"
ask 10 representative "$one_bit" "${hotel[@]}" --item star_rated --kind resident_id

begin "The same person at the bank: CLEAR, for lending reaches debtors alone" "同一人在银行：CLEAR，授信措施只及于被执行人本人"
ask 0 representative '"verdict":"CLEAR" "reason":"NOT_LISTED"' "${lending[@]}" --kind resident_id

begin "A procurement platform checks a supplier" "采购平台核查供应商"
ask 10 supplier '"verdict":"RESTRICTED" "reason":"LISTED_DEBTOR" "effect":"PROHIBIT" "relation":"debtor"' \
    --context procurement --measure procurement.supplier --kind uscc
ask 0 company '"verdict":"CLEAR" "reason":"NOT_LISTED"' --context procurement --measure procurement.supplier --kind uscc

# --- due process, and a kill ----------------------------------------------------------------------------------------

begin "Another court can't touch the listing" "其他法院不能改动"
run 27 xinhub listing --context xuwen --output json revoke "$listing" --ground 演示
expect "$dir/err" '"reason":"OTHER_COURT"'

begin "The borrower objects; the court takes it in, and its clock runs. Nothing is stayed meanwhile" \
    "被执行人申请纠正，法院收件，审查期限起算；其间名单不停止执行"
{
    printf 'role = "debtor"\nname = "%s"\nground = "should_not_be_listed"\n' "$(tail -n 1 "$dir/borrower")"
    printf 'statement = "已提供充分有效担保"\ndocuments = ["担保函"]\n'
    printf '[party]\nkind = "resident_id"\nnumber = "%s"\n' "$(head -n 1 "$dir/borrower")"
} >"$dir/objection.toml"
run 0 xinhub objection --context leizhou --output json file "$listing" --content objection.toml
expect "$dir/out" "\"state\":\"FILED\" \"listing\":$listing, \"late\":false"
petition=$(number petition "$dir/out")
run 0 xinhub deadlines --context leizhou --clock review --output json
expect "$dir/out" "\"clock\":\"review\" \"petition\":$petition, \"status\":\"RUNNING\""
ask 11 borrower "$listed" "${lending[@]}" --kind resident_id

begin "The bank keeps a replica of the lenders' list in a process of its own, fed by push" \
    "银行在自己的进程中保存授信名单的副本，由枢纽推送更新"
run 0 xinhub sync replica --context bank --output json
expect "$dir/out" '"synced":true,'
(cd "$dir" && exec "$bin/xinhub" watch replica --context bank --output json --lifts 1 >watch) &
watch_pid=$!
deadline=$((SECONDS + start_seconds))
until grep -q '"synced":true' "$dir/watch"; do
    ((SECONDS < deadline)) || fail "the replica does not follow"
    sleep 0.1
done

begin "The court upholds it: the finding and the revocation are one commit" "法院认定成立：决定与撤销名单在同一提交中生效"
run 0 xinhub objection --context leizhou --output json decide "$petition" --upheld --revoke --reasons 担保足以覆盖债务
expect "$dir/out" "\"state\":\"UPHELD\" \"listing\":$listing, \"listing_state\":\"REVOKED\""
token=$(sed 's/.*"token":"\([0-9a-f]*\)".*/\1/' "$dir/out")

begin "The lift was pushed to the replica, applied and confirmed; it is complete once no answer from before it may be used" \
    "撤销已推送至副本、已生效并确认；此前的答复均失效后，该次解除即告完成"
wait "$watch_pid" || fail "the replica heard of no lift"
watch_pid=
expect "$dir/watch" '"event":"lift" "keys":1'
deadline=$((SECONDS + start_seconds))
until xinhub lifts "$token" --context leizhou --output json >"$dir/json" && grep -q '"complete":true' "$dir/json"; do
    ((SECONDS < deadline)) || fail "the lift does not become complete"
    sleep 0.5
done
expect "$dir/json" '"subscribers":1, "acknowledged":1, "pending":0, "complete":true, "complete_time":"20'
run 0 xinhub lifts "$token" --context leizhou --lang zh

begin "The bank's next answer is clear: at least as new as the revocation" "银行随即得到CLEAR：不早于该撤销"
ask 0 borrower '"verdict":"CLEAR" "reason":"NOT_LISTED"' "${lending[@]}" --kind resident_id --at-least "$token"

begin "By the lift the bank owes: it reports that its own measure is lifted, and owes nothing more" \
    "撤销后银行负有解除义务：报告已解除本行措施，义务办结"
run 0 xinhub duties --context bank --output json
expect "$dir/out" "\"listing\":$listing, \"clock\":\"lift_measures\" \"state\":\"OPEN\" \"measure\":\"credit.lending\""
run 0 xinhub duties --context bank --lang zh
run 0 xinhub measure --context bank --output json lifted "$listing" --on "$today" --note 已恢复授信
expect "$dir/out" '"duty_state":"CLOSED"'
run 0 xinhub duties --context bank --output json
[[ ! -s $dir/out ]] || fail "the bank still owes something"

begin "A creditor's application that was received months ago, and never decided: overdue, and the board says with whom" \
    "数月前收到而一直未审查的纳入申请：逾期，并列入督办"
{
    printf 'role = "creditor"\nname = "演示债权人"\nstatement = "有履行能力而拒不履行"\n'
    printf 'received_on = "2026-01-05"\ncase_number = "(2025)粤0825执99999号"\n'
    printf 'debtor_name = "%s"\n[debtor]\nkind = "resident_id"\nnumber = "%s"\n' \
        "$(tail -n 1 "$dir/other")" "$(head -n 1 "$dir/other")"
} >"$dir/application.toml"
run 0 xinhub application --context xuwen --output json file --court xuwen --content application.toml
expect "$dir/out" '"state":"FILED" "listing":null'
run 0 xinhub deadlines --context ops --board --output json
expect "$dir/out" '"body":"court","id":"xuwen","total":1, "days_over_30":1, "oldest_due":"2026-01-20"'
run 0 xinhub deadlines --context ops --board --lang zh

begin "The borrower sees, at the court's counter, what was kept of them, and who was told what" \
    "被执行人到法院窗口查看：平台记录了什么，谁得到过什么答复"
wait_for_details
document=(--kind resident_id --identity-file borrower --document 居民身份证，原件)
xinhub subject --context leizhou --output json view "${document[@]}" >"$dir/json"
expect "$dir/json" "\"listing\":$listing, \"state\":\"REVOKED\" \"client\":\"bank-demo\",\"class\":\"bank\" \"verdict\":\"CONSIDER\""
run 0 xinhub subject --context leizhou --lang zh view "${document[@]}"

begin "And gets a certificate that nothing reaches them any more, which anyone can verify without the hub; a changed one fails" \
    "并领取证明：不再受任何名单信息影响；任何人无需联网即可核验，改动一字即不通过"
run 0 xinhub certificate issue --context leizhou "${document[@]}" --out certificate.txt --lang zh
xinhub status --context ops --output json >"$dir/json"
key=$(sed 's/.*"verifier_key":"\([^"]*\)".*/\1/' "$dir/json")
run 0 xinhub certificate verify certificate.txt --key "$key" --lang zh
sed 's/^expires: 20/expires: 21/' "$dir/certificate.txt" >"$dir/changed.txt"
run 13 xinhub certificate verify changed.txt --key "$key" --lang zh

begin "The lift is announced by its case, and counted; where a count could single somebody out it is left out" \
    "解除按案号公告并计入统计；可能指向个人的数不予列出"
run 0 xinhub announcements --context hotel --output json
expect "$dir/out" '"court":"leizhou" "case_number":"(20'
run 0 xinhub report listings --context leizhou --output json
expect "$dir/out" '"revoked":1, "floor":0}'
run 0 xinhub report listings --context ops --court leizhou --lang zh

begin "kill -9, and start again" "强制终止（kill -9）后重新启动"
run 0 xinhub status --context ops --output json
before=$(sed 's/.*"epoch":"\([^"]*\)","revision":\([0-9]*\),"chain_hash":"\([^"]*\)".*/\1 \2 \3/' "$dir/out")
kill -KILL "$hub_pid"
wait "$hub_pid" 2>/dev/null || true
start_hub
run 0 xinhub status --context ops --output json
after=$(sed 's/.*"epoch":"\([^"]*\)","revision":\([0-9]*\),"chain_hash":"\([^"]*\)".*/\1 \2 \3/' "$dir/out")
[[ $before == "$after" ]] || fail "epoch, revision and chain hash were $before, and are $after"
wait_for_details

begin "After the kill all is still there: revocation, guest, officer, related person, supplier, what is overdue" \
    "重启后一切如故：撤销、住客、任职人员、关联人员、供应商、逾期事项"
ask 0 borrower '"verdict":"CLEAR" "reason":"NOT_LISTED"' "${lending[@]}" --kind resident_id --at-least "$token"
ask 10 guest "$one_bit" "${hotel[@]}" --item star_rated --kind resident_id
ask 11 company '"verdict":"CONSIDER" "reason":"OFFICER_LISTED"' "${lending[@]}" --kind uscc --officers-file officers
ask 10 representative "$one_bit" "${hotel[@]}" --item star_rated --kind resident_id
ask 10 supplier '"verdict":"RESTRICTED" "reason":"LISTED_DEBTOR"' --context procurement --measure procurement.supplier \
    --kind uscc
run 0 xinhub deadlines --context ops --board --output json
expect "$dir/out" '"body":"court","id":"xuwen","total":1,'

begin "An orderly stop" "正常停止"
kill -TERM "$hub_pid"
code=0
wait "$hub_pid" || code=$?
hub_pid=""
[[ $code -eq 0 ]] || fail "the hub ended with $code"
run 0 xinhubd fsck --config hub.toml

printf '\nAll of it is so. / 全部核对无误。 (%d s)\n' $((SECONDS - began))
