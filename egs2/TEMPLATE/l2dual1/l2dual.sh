#!/usr/bin/env bash
# The twelve stages of an l2dual recipe. A recipe's run.sh calls this from its own directory.
# shellcheck source-path=SCRIPTDIR disable=SC2329  # stages are called by their numbers
set -euo pipefail

template=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
root=$(readlink -f "${template}/../../..")
# shellcheck source=options.sh
. "${template}/options.sh"
# shellcheck source=make.sh
. "${template}/make.sh"

# Options: --name value. The default of an empty one depends on corpus, preset or language.
stage=1                        # first stage to run
stop_stage=12                  # last stage to run
skip_stages=                   # stages to leave out, as "2 11"
systems="so_surface so_meaning do"  # systems to compare: names in conf/systems
seeds=1                        # seeds of each system, as "1 2 3"
language=                      # en or ko; set by the recipe
corpus=simulated               # a name in conf/corpora.txt
db=                            # path of your copy of the corpus; default: the path in db.sh
columns=                       # column names of corpus table, as "meaning=Text,surface=Heard"
allow_pipes=false              # true: run the commands in the wav.scp of corpus kaldi
canonical=given                # canonical text of corpus table or kaldi: given, or dictionary
field_map=                     # YAML file: names of the fields in the labels of corpus aihub
assume_surface=false           # true: assume no errors in a corpus without a surface
preset=mini                    # size of the simulated corpus: mini, measure or tiny
severity=paper                 # how much its learners err: none, half, paper, double or triple
errors=rules                   # their errors: rules, or random substitutions at the same rate
engine=espeak                  # speech synthesizer: espeak or kokoro (docs/simulator.md)
prompts=                       # file of your own sentences, one a line, for the simulated corpus
data_seed=1                    # seed of the simulated corpus, or of the splits of a corpus
surface_convention=            # heard or pronounced: how surface is written
speed_factors=                 # speed perturbation of the training data, as "0.9 1.0 1.1"
audio_format=flac              # flac, wav or ark
fs=16000                       # sampling rate in Hz
min_seconds=0.3                # shortest utterance to train on
max_seconds=20                 # longest utterance to train on
leave_out_l1=                  # first language to leave out of training and to test on alone
test_data=                     # other data to test on (stages 9, 10, 12), as dump/OTHER_TAG
frames_per_second=             # encoder frames per second; default: computed from the train_config
surface_token_type=            # char, jamo, bpe, phn or word
meaning_token_type=            # char, jamo, bpe, phn or word
nbpe=500                       # vocabulary of a bpe output
token_joint=                   # one vocabulary for both outputs: true or false
cache_features=false           # true: run a frozen pretrained front-end once over the data
train_config=                  # model and training: conf/train/*.yaml
decode_config=                 # searches: conf/decode.yaml
budgets=whole                  # checkpoints to decode: whole, half (the half-budget one) or "half whole"
retrained=false                # true: stage 11 also trains new decoders on frozen encoders
expdir=exp                     # directory of experiments and results
nj=2                           # processes that prepare data
num_threads=1                  # threads of each training and decoding job
ngpu=0                         # GPUs of each training; above 0, decoding uses one
num_nodes=1                    # machines of each training, each with ngpu GPUs; above 1 under Slurm
# End of options
parse_options "${BASH_SOURCE[0]}" "$@"

. ./path.sh
. ./cmd.sh
. ./db.sh

is_number stage "${stage}"
is_number stop_stage "${stop_stage}"
for name in ngpu data_seed; do is_number "${name}" "${!name}"; done
for name in num_nodes nj num_threads nbpe fs; do is_positive "${name}" "${!name}"; done
for name in min_seconds max_seconds ${frames_per_second:+frames_per_second}; do is_decimal "${name}" "${!name}"; done
for factor in ${speed_factors}; do is_decimal speed_factors "${factor}"; done
for number in ${skip_stages}; do is_positive skip_stages "${number}"; done
number=
((num_nodes == 1)) || [[ ${cuda_cmd} == slurm.py* ]] \
    || die "--num_nodes ${num_nodes} needs Slurm: set cmd_backend=slurm in cmd.sh"
((1 <= stage && stage <= stop_stage && stop_stage <= 12)) \
    || die "stages are 1 to 12, not ${stage} to ${stop_stage}"
if ((ngpu > 0 && stage <= 9 && stop_stage >= 7)) && [[ ${cuda_cmd} == local.py* ]]; then
    fault=$(local.py --gpu "${ngpu}" /dev/null true 2>&1) || die "--ngpu ${ngpu}: ${fault##*: }"
fi
expdir=${expdir#"${PWD}/"}  # a recipe that is copied with its experiments names its own

# The choices that follow from others -------------------------------------------------------------
tag_of() {  # tag_of FILE: its name without suffix, as part of a directory's name
    local name
    name=$(basename "$1")
    echo "${name%.*}" | tr -c '[:alnum:]\n' -
}

conf() {  # conf NAME: the recipe's own conf/NAME, else the one that all recipes share
    if [[ -e conf/$1 ]]; then echo "conf/$1"; else echo "../../conf/$1"; fi
}

one_of language "${language}" en ko
mapfile -t corpora < <(grep -v '^#' "${root}/conf/corpora.txt")
one_of corpus "${corpus}" "${corpora[@]%% *}"
read -r _ languages conventions corpus_surface <<< "$(printf '%s\n' "${corpora[@]}" | grep "^${corpus} ")"
[[ ,${languages}, == *,${language},* ]] \
    || die "corpus ${corpus} is in ${languages}: run it in egs2/l2_${languages}"
surface_convention=${surface_convention:-${conventions%%,*}}
[[ ,${conventions}, == *,${surface_convention},* ]] \
    || die "corpus ${corpus} provides its surface as ${conventions//,/ or }, not ${surface_convention}"
one_of audio_format "${audio_format}" flac wav ark
one_of assume_surface "${assume_surface}" true false
one_of allow_pipes "${allow_pipes}" true false
one_of canonical "${canonical}" given dictionary
own_corpus=() pipes=()
if [[ -n ${columns} ]]; then
    [[ ${corpus} == table ]] || die "--columns is for --corpus table, not ${corpus}"
    own_corpus+=(--columns "${columns}")
fi
if [[ ${canonical} != given ]]; then
    [[ ${corpus} == table || ${corpus} == kaldi ]] || die "--canonical is for --corpus table or kaldi, not ${corpus}"
    own_corpus+=(--canonical "${canonical}")
fi
if [[ ${allow_pipes} == true ]]; then
    [[ ${corpus} == kaldi ]] || die "--allow_pipes is for --corpus kaldi, not ${corpus}"
    pipes=(--allow_pipes true)
fi
one_of cache_features "${cache_features}" true false
one_of retrained "${retrained}" true false
if [[ ${corpus} == simulated ]]; then
    one_of preset "${preset}" mini measure tiny
    one_of severity "${severity}" none half paper double triple
    one_of errors "${errors}" rules random
    data_tag=simulated_${preset}_${surface_convention}
    [[ ${severity} == paper ]] || data_tag+=_${severity}
    [[ ${errors} == rules ]] || data_tag+=_${errors}
    [[ ${engine} == espeak ]] || data_tag+=_${engine}
    [[ -z ${prompts} ]] || data_tag+=_$(tag_of "${prompts}")
    train_config=${train_config:-$(conf "train/${preset}.yaml")}
else
    db_name=${corpus^^}
    db=${db:-${!db_name:-}}
    [[ -n ${db} ]] || die "no path of ${corpus}: give --db, or set ${db_name} in db.sh"
    [[ -e ${db} ]] || die "${db}: no such file or directory: check --db (relative to $(pwd))"
    data_tag=${corpus}_${surface_convention}
    case ${corpus} in table | kaldi | aihub) data_tag+=_$(tag_of "${db}") ;; esac
    [[ ${assume_surface} == false ]] || data_tag+=_assumed
    [[ ${canonical} == given ]] || data_tag+=_dictionary
    train_config=${train_config:-$(conf train/real.yaml)}
fi
[[ ${data_seed} == 1 ]] || data_tag+=_data${data_seed}
for file in ${prompts:+"${prompts}"} ${field_map:+"${field_map}"}; do
    [[ -f ${file} ]] || die "${file}: no such file (relative to $(pwd))"
done
one_of surface_convention "${surface_convention}" heard pronounced
if [[ ${language} == en && ${surface_convention} == pronounced ]]; then
    surface_token_type=${surface_token_type:-phn}
fi
letters=char
if [[ ${language} == ko ]]; then letters=jamo; fi
surface_token_type=${surface_token_type:-${letters}}
meaning_token_type=${meaning_token_type:-${letters}}
one_of surface_token_type "${surface_token_type}" char jamo bpe phn word
one_of meaning_token_type "${meaning_token_type}" char jamo bpe phn word
if [[ -z ${token_joint} ]]; then  # under heard both outputs are written in one alphabet
    token_joint=false
    if [[ ${surface_convention}${surface_token_type} == "heard${meaning_token_type}" ]]; then
        token_joint=true
    fi
fi
one_of token_joint "${token_joint}" true false
if [[ ${token_joint} == true && ${surface_token_type} != "${meaning_token_type}" ]]; then
    die "--token_joint true needs one token type: surface is ${surface_token_type}, meaning ${meaning_token_type}"
fi
decode_config=${decode_config:-$(conf decode.yaml)}
for file in "${train_config}" "${decode_config}"; do
    [[ -f ${file} ]] || die "${file}: no such file: check --train_config and --decode_config"
done
for system in ${systems}; do
    [[ -f $(conf "systems/${system}.yaml") ]] \
        || die "no system ${system}: there are $(basename -s .yaml "${root}"/conf/systems/*.yaml | xargs)"
done
[[ -n ${systems// } && -n ${seeds// } ]] || die "name at least one system (--systems) and one seed (--seeds)"
for seed in ${seeds}; do is_number seeds "${seed}"; done
for budget in ${budgets}; do one_of budgets "${budget}" half whole; done

# Names of what the stages make -------------------------------------------------------------------
train_set=train
if [[ -n ${speed_factors} ]]; then
    train_set=train_sp
    speed_tag=_sp${speed_factors// /-}
fi
audio_tag=${data_tag}${speed_tag:-}
[[ ${audio_format} == flac ]] || audio_tag+=_${audio_format}
[[ ${fs} == 16000 ]] || audio_tag+=_${fs}
[[ -z ${leave_out_l1} ]] || audio_tag+=_without-${leave_out_l1}
data=data/${data_tag}
dump=dump/${audio_tag}
train_tag=$(basename "${train_config}" .yaml)
frontend_conf=
feats=${dump}  # input of the models: audio, or cached states of a front-end
if [[ ${cache_features} == true ]]; then
    grep -qx 'frontend: pretrained' "${train_config}" \
        || die "--cache_features true needs a train_config with frontend: pretrained, as conf/train/whisper_base.yaml"
    frontend_conf=$(sed -n '/^frontend_conf:/,/^[^ ]/ s/^  *\([^#]*[^ #]\).*/  \1/p' "${train_config}" | grep -v stack:)
    weights=$(sed -n 's/^ *path: *//p' <<< "${frontend_conf}")
    feats=${dump}/cached_$(basename "${weights}")_$(sha256sum <<< "${frontend_conf}" | cut -c 1-8)
fi
stats=${expdir}/stats/${audio_tag}_${train_tag}
decode_tag=$(basename "${decode_config}" .yaml)
test_set=${dump}/test tested_feats=${feats}/test resultdir=${expdir} tested=
if [[ -n ${test_data} ]]; then
    test_data=${test_data%/}
    [[ ${test_data} =~ ^dump/[^/]+$ ]] || die "--test_data is a directory of dump, as dump/TAG, not ${test_data}"
    [[ ${cache_features} == false ]] || die "--test_data is not for cached features (--cache_features false)"
    ((stage >= 9)) || die "--test_data tests what is trained: train without it, then add --stage 9"
    [[ -f ${test_data}/test/corpus.yaml ]] \
        || die "${test_data}/test: not found: prepare that data with --stop_stage 4"
    for fact in "language: ${language}" "convention: ${surface_convention}" "sampling_rate: ${fs}"; do
        grep -qx "${fact}" "${test_data}/test/corpus.yaml" \
            || die "${test_data}/test/corpus.yaml: lacks '${fact}', which the systems were trained on: prepare data with it"
    done
    tested=on_${test_data#dump/}
    test_set=${test_data}/test tested_feats=${test_data}/test resultdir=${expdir}/${tested}
fi

token_tag() {  # token_tag TYPE: how an output is tokenized, as in an experiment's name
    if [[ $1 == bpe ]]; then echo "bpe${nbpe}"; else echo "$1"; fi
}
tokens_tag=$(token_tag "${surface_token_type}")-$(token_tag "${meaning_token_type}")
if [[ ${token_joint} == true ]]; then tokens_tag+=-joint; fi

token_dir() {  # token_dir OUTPUT
    local type_name=${1}_token_type
    if [[ ${token_joint} == true ]]; then
        echo "${dump}/tokens/joint_$(token_tag "${!type_name}")"
    else
        echo "${dump}/tokens/$1_$(token_tag "${!type_name}")"
    fi
}

runs=()  # one for each system and seed
for seed in ${seeds}; do
    for system in ${systems}; do
        runs+=("${expdir}/${audio_tag}.${train_tag}.${tokens_tag}.${system}.seed${seed}")
    done
done
twice=$(printf '%s\n' "${runs[@]}" | sort | uniq -d)
[[ -z ${twice} ]] || die "--systems and --seeds name ${twice//$'\n'/ } twice"
system_of() { local run=${1%.seed*}; echo "${run##*.}"; }
# shellcheck disable=SC2034  # make.sh writes there
log_dir=${expdir}/log/${audio_tag}.${train_tag}.${tokens_tag}${tested:+.${tested}}

claim "${expdir}"

# The stages: inputs -> outputs, a title, one call ------------------------------------------------
made_by() {  # made_by PATH: the stage that makes it
    case $1 in
        "${data}" | "${data}"/*) echo 1 ;;
        data/*) echo 2 ;;
        */formatted/*) echo 3 ;;
        */tokens/*) echo 5 ;;
        */cached_* | "${expdir}"/stats/*) echo 7 ;;
        dump/*) echo 4 ;;
        */trained) echo 8 ;;
        */score | */results*.json) echo 10 ;;
        *) echo 9 ;;
    esac
}

splits() {  # those of train, valid and test that the corpus has; all of them before stage 1
    local split
    for split in train valid test; do
        if [[ ! -e ${data} || -s ${data}/${split}/wav.scp ]]; then echo "${split}"; fi
    done
}

title() { echo "=== ${language}, stage ${number}: $1 ($(date +%H:%M:%S))"; }

stage_1() {  # a corpus -> data/TAG/{train,valid,test}
    title "Prepare data"
    local inputs=("${root}/l2dual/corpora/${corpus}.py")
    local choices=(--corpus "${corpus}" --language "${language}" --convention "${surface_convention}")
    choices+=(--seed "${data_seed}")
    if [[ ${corpus} == simulated ]]; then
        inputs+=("${root}"/l2dual/{text,simulate} "$(conf "simulate/${preset}.yaml")")
        choices+=(--preset "$(conf "simulate/${preset}.yaml")" --severity "${severity}" --errors "${errors}")
        choices+=(--engine "${engine}")
        if [[ -n ${prompts} ]]; then inputs+=("${prompts}" "${root}/l2dual/simulate/prompts.py") choices+=(--prompts "${prompts}"); fi
    else
        inputs+=("${root}/l2dual/corpora/common/splits.py" "listing:${db}")
        choices+=(--db "${db}" --assume_surface "${assume_surface}" "${own_corpus[@]}" "${pipes[@]}")
        if [[ ${assume_surface} == true ]]; then inputs+=("${root}/l2dual/text"); fi
        if [[ -n ${field_map} ]]; then inputs+=("${field_map}") choices+=(--field_map "${field_map}"); fi
    fi
    plan "${data}" "${inputs[@]}" -- local/data.sh "${choices[@]}" --nj "${nj}" --out @OUT@
    launch prepare "${train_cmd} --num_threads ${nj}"
    tell prepare
    check_texts
}

check_texts() {  # training data must have the texts of all systems; data to test on need not
    local system meaning=given
    [[ $(splits) == *train* ]] || return 0
    if grep -qsx 'surface: none' "${data}"/*/corpus.yaml; then corpus_surface=none; fi
    if grep -qsx 'meaning: none' "${data}"/*/corpus.yaml; then meaning=none; fi
    for system in ${systems}; do
        if [[ ${meaning} == none ]] && grep -q '^ *meaning:' "$(conf "systems/${system}.yaml")"; then
            die "corpus ${corpus} does not provide a meaning, which ${system} needs: use --systems so_surface"
        fi
        if [[ ${corpus_surface}${assume_surface} == nonefalse ]] \
            && grep -q '^ *surface:' "$(conf "systems/${system}.yaml")"; then
            die "corpus ${corpus} does not provide a surface, which ${system} needs: use --systems so_meaning," \
                "or --assume_surface true, which assumes no errors"
        fi
    done
}

texts_of() {  # the outputs that the corpus has texts for
    local output
    for output in surface meaning; do
        if [[ -f ${dump}/train/text.${output} ]]; then echo "${output}"; fi
    done
}

stage_2() {  # data/TAG/train -> data/TAG_sp/train_sp
    title "Perturb speed"
    if [[ -z ${speed_factors} || $(splits) != *train* ]]; then
        echo "skipped: no --speed_factors, or no training data"
        return
    fi
    plan "${data}${speed_tag}/${train_set}" "${data}" -- \
        python -m l2dual.bin.perturb_speed --data "${data}/train" --factors "${speed_factors}" --out @OUT@
    launch perturb_speed "${train_cmd}"
}

stage_3() {  # data/TAG -> dump/TAG/formatted/{train,valid,test}: one rate, one format
    title "Format audio"
    local split source input recordings
    for split in $(splits); do
        source=${data}/${split} input=${data} recordings=()
        if [[ ${split} == train && -n ${speed_factors} ]]; then
            source=${data}${speed_tag}/${train_set} input=${source}
        fi
        if [[ ${corpus} != simulated ]]; then recordings=("recordings:${source}"); fi  # its own are no inputs
        plan "${dump}/formatted/${split}" "${input}" "${recordings[@]}" -- \
            python -m l2dual.bin.format_audio --data "${source}" --out @OUT@ \
            --format "${audio_format}" --fs "${fs}" "${pipes[@]}" --nj "${nj}"
    done
    launch format_audio "${train_cmd} --num_threads ${nj} --max_jobs 1"
    tell format_audio | grep '^left out: ' || true  # recordings that can't be used
}

stage_4() {  # dump/TAG/formatted -> dump/TAG/{train,valid,test}, and what was dropped and why
    title "Filter"
    local split frames=(--frames_per_second "${frames_per_second}")
    if [[ -z ${frames_per_second} ]]; then
        frames=(--encoder "$(python -m l2dual.bin.encoder --train_config "${train_config}" --fs "${fs}")")
    fi
    for split in $(splits); do
        plan "${dump}/${split}" "${dump}/formatted/${split}" -- \
            python -m l2dual.bin.filter --data "${dump}/formatted/${split}" --split "${split}" \
            --min_seconds "${min_seconds}" --max_seconds "${max_seconds}" \
            "${frames[@]}" ${leave_out_l1:+--leave_out_l1 "${leave_out_l1}"} --out @OUT@
    done
    launch filter "${train_cmd}"
    tell filter
}

stage_5() {  # dump/TAG/train -> dump/TAG/tokens/OUTPUT_TYPE
    title "Make token lists"
    [[ $(splits) == *train* ]] || die "${data}: has no training data: to decode it with trained systems," \
        "run with their options, --stage 9 and --test_data ${dump}"
    local output joint=()
    for output in $(texts_of); do
        if [[ ${token_joint} == true ]]; then
            joint+=(--text "${dump}/train/text.${output}")
        else
            plan_tokens "${output}" --text "${dump}/train/text.${output}"
        fi
    done
    if ((${#joint[@]})); then plan_tokens meaning "${joint[@]}"; fi
    launch token_list "${train_cmd}"
    tell token_list
}

plan_tokens() {  # plan_tokens OUTPUT --text FILE...
    local output=$1 type_name=${1}_token_type
    shift
    plan "$(token_dir "${output}")" "${dump}/train" -- \
        python -m l2dual.bin.token_list "$@" --token_type "${!type_name}" --nbpe "${nbpe}" --out @OUT@
}

stage_6() {  # dump/TAG -> EXP/divergence/TAG.json
    title "Measure divergence"
    local split choices=()
    for split in train valid test; do choices+=(--data "${dump}/${split}"); done
    plan "${expdir}/divergence/${audio_tag}.json" "${dump}/train" "${dump}/valid" "${dump}/test" \
        "${root}/l2dual/data/divergence.py" -- \
        python -m l2dual.bin.divergence "${choices[@]}" --out @OUT@
    launch divergence "${train_cmd}"
    tell divergence
}

stage_7() {  # dump/TAG -> EXP/stats: lengths, mean and variance of the features
    title "Collect statistics"
    if [[ ${cache_features} == true ]]; then cache_features; fi
    plan "${stats}" "${feats}/train" "${feats}/valid" "${train_config}" -- \
        python -m l2dual.bin.collect_stats --train_config "${train_config}" --data "${feats}" --out @OUT@
    launch collect_stats "${train_cmd} --num_threads ${num_threads}"
}

cache_features() {  # dump/TAG/SPLIT, a pretrained front-end -> dump/TAG/cached_NAME/SPLIT
    local split inputs=()
    if [[ -d ${weights} ]]; then inputs+=("listing:${weights}"); fi
    for split in train valid test; do
        plan "${feats}/${split}" "${dump}/${split}" "${inputs[@]}" -- \
            python -m l2dual.bin.cache_features --frontend_conf "${frontend_conf}" \
            --data "${dump}/${split}" --nj "${nj}" --ngpu "${ngpu}" --out @OUT@
    done
    launch cache_features "${cuda_cmd} --gpu ${ngpu} --num_threads ${nj} --max_jobs 1"
}

stage_8() {  # dump/TAG, token lists, statistics -> EXP/RUN, one for each system and seed
    title "Train"
    local run options=(--ngpu "${ngpu}")
    local launcher="${cuda_cmd} --gpu ${ngpu} --num_threads ${num_threads}"
    if ((num_nodes > 1)); then  # each run.sh submits its training itself, by ESPnet's launcher
        options=(--num_nodes "${num_nodes}" "${options[@]}")
        launcher="local.py --max_jobs ${#runs[@]}"
    fi
    for run in "${runs[@]}"; do plan_run "${run}"; done
    launch configure "${train_cmd}"
    while read -r run; do
        # shellcheck disable=SC2016  # the new shell expands it
        plan "${run}/trained" "${run}" -- \
            bash -c '"${@:2}" && touch "$1"' train @OUT@ "${run}/run.sh" "${options[@]}"
    done < <(longest_first)
    launch train "${launcher}"
}

longest_first() {  # runs with two decoders, then the others, so that no core waits at the end
    printf '%s\n' "${runs[@]}" | grep '\.do[^.]*\.seed' || true
    printf '%s\n' "${runs[@]}" | grep -v '\.do[^.]*\.seed' || true
}

plan_run() {  # plan_run RUN: its directory; a run of other inputs is renamed, not deleted
    local run=$1 system output type_name inputs choices=()
    system=$(conf "systems/$(system_of "${run}").yaml")
    inputs=("${train_config}" "${system}" "${feats}/train" "${feats}/valid" "${stats}")
    for output in $(texts_of); do
        type_name=${output}_token_type
        inputs+=("$(token_dir "${output}")")
        choices+=("--${output}_tokens" "$(token_dir "${output}")" "--${output}_token_type" "${!type_name}")
    done
    plan "${run}" "${inputs[@]}" -- \
        python -m l2dual.bin.configure --train_config "${train_config}" --system "${system}" \
        --seed "${run##*.seed}" --data "${feats}" --stats "${stats}" "${choices[@]}" \
        --num_threads "${num_threads}" --out @OUT@
    if is_planned "${run}" && [[ -e ${run} ]]; then
        echo "${run}: its inputs changed: the old run is kept as ${run}.old-$(date +%Y%m%d-%H%M%S)"
        mv "${run}" "${run}.old-$(date +%Y%m%d-%H%M%S)"
    fi
}

decode_dir() {  # decode_dir RUN BUDGET
    local budget=
    if [[ $2 == half ]]; then budget=_half; fi
    echo "$1/${decode_tag}${budget}${tested:+_${tested}}"
}

stage_9() {  # EXP/RUN, dump/TAG/test -> EXP/RUN/DECODE/test/text.OUTPUT
    title "Decode"
    local run budget checkpoint
    while read -r run; do
        for budget in ${budgets}; do
            checkpoint=()
            if [[ ${budget} == half ]]; then checkpoint=(--checkpoint half.pth); fi
            plan "$(decode_dir "${run}" "${budget}")/test" "${run}/trained" "${tested_feats}" "${decode_config}" -- \
                python -m l2dual.bin.decode --exp "${run}" "${checkpoint[@]}" --data "${tested_feats}" \
                --config "${decode_config}" --ngpu "$((ngpu > 0))" --out @OUT@
        done
    done < <(longest_first)
    launch decode "${decode_cmd} --gpu $((ngpu > 0)) --num_threads ${num_threads}"
}

stage_10() {  # EXP/RUN/DECODE/test -> EXP/RUN/DECODE/score, RESULTS/results.json
    title "Score"
    local run budget decoded scores also
    for budget in ${budgets}; do
        for run in "${runs[@]}"; do
            decoded=$(decode_dir "${run}" "${budget}")
            plan "${decoded}/score" "${decoded}/test" "${test_set}" \
                "${root}"/l2dual/{scoring/{score,crosstalk,mispronunciation},text/units,data/{divergence,datadir}}.py -- \
                python -m l2dual.bin.score --data "${test_set}" --decode "${decoded}/test" \
                --run "${run}/run.yaml" --decode_config "${decode_config}" --out @OUT@
        done
    done
    launch score "${decode_cmd}"
    for budget in ${budgets}; do
        scores=() also=()
        for run in "${runs[@]}"; do scores+=("$(decode_dir "${run}" "${budget}")/score"); done
        mapfile -t also < <(earlier_scores "${budget}")
        plan "$(result_file results "${budget}")" "${scores[@]}" "${also[@]}" "${test_set}" \
            "${root}"/l2dual/{scoring/{outcomes,results,stats},systems}.py -- \
            python -m l2dual.bin.results "${scores[@]}" --data "${test_set}" --also "${also[@]}" --out @OUT@
    done
    launch results "${decode_cmd}"
    [[ ${budgets} == *half* ]] || rm -f "${resultdir}"/results_half.json  # of other runs
    for budget in ${budgets}; do python -m l2dual.bin.summary "$(result_file results "${budget}")"; done
}

earlier_scores() {  # earlier_scores BUDGET: those of other systems and seeds, scored by earlier calls
    local run score
    for run in "${expdir}/${audio_tag}.${train_tag}.${tokens_tag}".*.seed*; do
        score=$(decode_dir "${run}" "$1")/score
        if [[ ${run} =~ \.seed[0-9]+$ && " ${runs[*]} " != *" ${run} "* && -e ${score}/run.json ]]; then
            echo "${score}"
        fi
    done
}

result_file() {  # result_file NAME BUDGET
    if [[ $2 == half ]]; then echo "${resultdir}/$1_half.json"; else echo "${resultdir}/$1.json"; fi
}

stage_11() {  # EXP/RUN of all systems, dump/TAG -> EXP/{cka,decoders,subspaces,probes,gradients}.json
    title "Analyse entanglement"
    if [[ -n ${test_data} ]]; then
        echo "skipped: encoders are analysed on their own data, without --test_data"
        return
    fi
    if [[ ${retrained} == true ]]; then  # the long jobs first
        plan_analysis retrained --fit_data "${feats}/train" --max_utts 1000 --decode_config "${decode_config}"
    fi
    if [[ -f ${dump}/train/text.surface ]]; then  # else there is one output, and nothing to compare
        plan_analysis probes --fit_data "${feats}/valid"
        plan_analysis decoders --max_utts 2000
        plan_analysis subspaces
    fi
    plan_analysis cka --max_utts 2000
    plan_analysis gradients
    launch analyse "${decode_cmd} --num_threads ${num_threads}"
    tell analyse
}

plan_analysis() {  # plan_analysis WHAT [OPTION...]: EXP/WHAT.json
    local what=$1 split splits=(test) runs_trained=("${runs[@]/%//trained}")
    local inputs=("${root}/l2dual/analysis" "${root}"/l2dual/{systems,data/datadir}.py)
    shift
    for split in train valid; do
        if [[ $* == *"${feats}/${split}"* ]]; then splits+=("${split}"); fi
    done
    if [[ $* == *--decode_config* ]]; then inputs+=("${decode_config}"); fi
    plan "${expdir}/${what}.json" "${runs_trained[@]}" "${splits[@]/#/${feats}/}" "${inputs[@]}" -- \
        python -m l2dual.bin.analyse --what "${what}" --data "${feats}/test" --exp "${runs[@]}" "$@" --out @OUT@
}

stage_12() {  # all of the above -> RESULTS/report.html, EXP/RUN/model.zip
    title "Report and pack"
    local run file optional=()
    for file in "${resultdir}"/{results_half,cka,gradients,retrained,decoders,subspaces,probes}.json; do
        if [[ -e ${file} ]]; then optional+=("${file}"); fi
    done
    plan "${resultdir}/report.html" "${resultdir}/results.json" "${optional[@]}" \
        "${test_set}" "${root}"/l2dual/{report,data/divergence.py} -- \
        python -m l2dual.bin.report --exp "${resultdir}" --data "${test_set}" --out @OUT@
    launch report "${decode_cmd}"
    for run in "${runs[@]}"; do
        if [[ -e ${run}/trained ]]; then  # a run that was restored from its record has no model
            plan "${run}/model.zip" "${run}/trained" -- \
                python -m l2dual.bin.pack --exp "${run}" --out @OUT@
        fi
    done
    launch pack "${decode_cmd}"
    echo "report: $(readlink -f "${resultdir}/report.html")"
}

trap 'ended $?' EXIT
ended() {  # ended STATUS: where the recipe failed or was stopped, and how it goes on
    (($1)) && [[ -n ${number} ]] || return 0
    local again how=failed remedy="Fix the error, then run"
    case $1 in 129 | 130 | 143) how="was stopped" remedy="To go on, run" ;; esac
    again=$(sed -E 's/ --stage[ =][0-9]+//g' <<< "${L2DUAL_COMMAND:-./run.sh}")
    echo "l2dual: stage ${number} ${how}. Finished work is kept. ${remedy} ${again} --stage ${number}" >&2
    ((number != 8)) || echo "l2dual: or resume one training alone by its exp/RUN/run.sh" >&2
}
check_texts
main() {  # read as a whole before it runs, so that this file may be edited meanwhile
    for ((number = stage; number <= stop_stage; number++)); do
        if [[ " ${skip_stages} " != *" ${number} "* ]]; then "stage_${number}"; fi
    done
    number=
}
main; exit
